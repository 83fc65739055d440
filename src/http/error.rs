//! The one table from error kinds to statuses, and the envelope that every error travels in.

use std::{fmt, num::NonZeroU32};

use actix_web::{
    HttpResponse, ResponseError,
    body::BoxBody,
    http::{StatusCode, header},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::error::{Error, ErrorKind};

/// Seconds after which a busy server is worth another try, where the error does not say.
const RETRY_AFTER_S: NonZeroU32 = NonZeroU32::MIN;

/// The crate's error on its way to a client.
#[derive(Debug)]
pub(super) struct ApiError(pub(super) Error);

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What an error looks like.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(super) struct ErrorBody {
    /// What went wrong.
    pub error: ErrorDetail,
    /// The same as in the header `x-request-id`.
    pub request_id: String,
}

/// What went wrong.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(super) struct ErrorDetail {
    /// For machines, in `snake_case`.
    pub code: String,
    /// For people.
    pub message: String,
    /// Structured details, or null.
    pub details: Option<serde_json::Value>,
}

/// The one table.
pub(super) fn status(kind: ErrorKind) -> StatusCode {
    match kind {
        ErrorKind::Invalid => StatusCode::BAD_REQUEST,
        ErrorKind::Unprocessable => StatusCode::UNPROCESSABLE_ENTITY,
        ErrorKind::Unauthenticated => StatusCode::UNAUTHORIZED,
        ErrorKind::Forbidden => StatusCode::FORBIDDEN,
        ErrorKind::NotFound => StatusCode::NOT_FOUND,
        ErrorKind::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        ErrorKind::Conflict => StatusCode::CONFLICT,
        ErrorKind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        ErrorKind::Unsupported => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        ErrorKind::Overloaded => StatusCode::TOO_MANY_REQUESTS,
        ErrorKind::Timeout => StatusCode::REQUEST_TIMEOUT,
        ErrorKind::Unavailable | ErrorKind::Cancelled | ErrorKind::Storage => StatusCode::SERVICE_UNAVAILABLE,
        ErrorKind::Full => StatusCode::INSUFFICIENT_STORAGE,
        ErrorKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

impl ApiError {
    /// The answer, with the id of its request.
    pub(super) fn answer(&self, request_id: &str) -> HttpResponse {
        let error = &self.0;
        let mut response = HttpResponse::build(status(error.kind()));
        match error.kind() {
            ErrorKind::Overloaded | ErrorKind::Unavailable | ErrorKind::Full => {
                let wait = error.retry_after_s().unwrap_or(RETRY_AFTER_S);
                response.insert_header((header::RETRY_AFTER, wait.get()));
            }
            ErrorKind::Unauthenticated => {
                response.insert_header((header::WWW_AUTHENTICATE, "Bearer"));
            }
            _ => {}
        }
        response.json(ErrorBody {
            error: ErrorDetail {
                code: error.code().to_owned(),
                message: error.message().to_owned(),
                details: error.details().cloned(),
            },
            request_id: request_id.to_owned(),
        })
    }
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        status(self.0.kind())
    }

    /// Replaced by [`Self::answer`] in the envelope, which knows the request's id.
    fn error_response(&self) -> HttpResponse<BoxBody> {
        self.answer("")
    }
}

//! Of whose share of the server's memory it is taken what somebody sends, and what they are sent.

use actix_web::{HttpMessage, HttpRequest};

use crate::{
    domain::{Access, Realm},
    runtime::{ServiceClass, Turn},
    service::access::Entered,
};

/// Operators have one together: no tenant can be called so.
const OPERATORS: &str = "operator";
/// Likewise all who are not known yet.
const STRANGERS: &str = "";

/// That of a caller, who waits for it; what else they want is not known yet.
pub(super) fn of(access: &Access) -> Turn {
    let key = match &access.grant().realm {
        Realm::Tenant(tenant) => tenant.as_str(),
        Realm::Server => OPERATORS,
    };
    Turn::new(ServiceClass::Interactive, key).of(&access.actor().to_string())
}

/// That of the caller of a request, once they are known.
pub(super) fn of_caller(request: &HttpRequest) -> Option<Turn> {
    request.extensions().get::<Entered>().map(|entered| of(&entered.access))
}

/// That of whoever sends to a route that is open to all.
pub(super) fn of_strangers() -> Turn {
    Turn::new(ServiceClass::Interactive, STRANGERS)
}

//! A server that a proxy shows below a path (`server.prefix`): whether the proxy leaves that path in what it passes on or
//! takes it out, the same is asked for. Everything behind this, routes and metrics too, knows paths without it.

use actix_web::{
    Error,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    http::Uri,
    middleware::Next,
};

use crate::config::Prefix;

/// The middleware; see the module. It has to be the outermost.
pub async fn below<B: MessageBody>(
    prefix: Prefix,
    mut request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, Error> {
    if let Some(uri) = without(&prefix, request.uri()) {
        request.match_info_mut().get_mut().update(&uri);
        request.head_mut().uri = uri;
    }
    next.call(request).await
}

/// The address without the prefix, if it has it.
fn without(prefix: &Prefix, uri: &Uri) -> Option<Uri> {
    let rest = prefix.strip(uri.path_and_query()?.as_str())?;
    let slash = if rest.starts_with('/') { "" } else { "/" };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(format!("{slash}{rest}").parse().ok()?);
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_loses_its_prefix_and_nothing_else() {
        let prefix = Prefix::try_from("/school/rollcall".to_owned()).unwrap();
        for (given, left) in [
            ("/school/rollcall/docs/?a=%2F", Some("/docs/?a=%2F")),
            ("/school/rollcall", Some("/")),
            ("/school/rollcall?x", Some("/?x")),
            ("http://a.example/school/rollcall/api/v1/people/a%2Fb", Some("http://a.example/api/v1/people/a%2Fb")),
            ("/school/rollcall/school/rollcall/x", Some("/school/rollcall/x")),
            ("/docs/", None),
            ("/school/rollcalls", None),
        ] {
            let uri = without(&prefix, &given.parse().unwrap()).map(|uri| uri.to_string());
            assert_eq!(uri.as_deref(), left, "{given}");
        }
    }
}

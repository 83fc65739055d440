//! Which methods a route takes, for the header `Allow`.

use std::{collections::HashMap, sync::LazyLock};

use actix_web::http::header::HeaderValue;

use super::description;

/// By route pattern.
static METHODS: LazyLock<HashMap<String, HeaderValue>> = LazyLock::new(|| {
    let api = description();
    let routes = api["paths"].as_object().into_iter().flatten();
    routes
        .filter_map(|(route, methods)| {
            let methods: Vec<String> = methods.as_object()?.keys().map(|method| method.to_ascii_uppercase()).collect();
            Some((route.clone(), HeaderValue::from_str(&methods.join(", ")).ok()?))
        })
        .collect()
});

/// The methods of the route of this pattern. What is not described is at the root and only read.
pub(in crate::http) fn allowed(route: &str) -> HeaderValue {
    METHODS.get(route).cloned().unwrap_or(HeaderValue::from_static("GET, HEAD"))
}

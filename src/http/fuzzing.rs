//! What fuzzing asks of addresses and cursors, and where it reaches what the folders below ask.

#![allow(clippy::expect_used, clippy::missing_panics_doc, reason = "to panic is how it says no")]

use std::{fmt::Display, net::IpAddr, str::FromStr};

use actix_web::{http::header::HeaderValue, test::TestRequest, web::Query};
use ipnet::IpNet;
use serde::{Serialize, de::DeserializeOwned};

use super::{
    address::{client_address, is_trusted},
    page::Page,
};
pub use super::{
    api::fuzzing::frames,
    upload::fuzzing::{json, multipart},
};
use crate::{
    domain::{
        GroupId, GroupSessionId, PersonId, Pseudonym, TenantId, UserId,
        ids::{PlannedId, checked_name},
    },
    error::Error,
};

/// Whoever comes through trusted proxies is who the first of them heard, whatever the client says; whoever does not is
/// who they are. The first byte says from where the connection comes; a line is a header.
pub fn addresses(bytes: &[u8]) {
    let Some((&peer, lines)) = bytes.split_first() else { return };
    let trusted: Vec<IpNet> = ["10.0.0.0/8", "::1/128"].map(|network| network.parse().expect("a network")).into();
    let peers = ["10.0.0.1", "::1", "::ffff:10.0.0.1", "127.0.0.1", "203.0.113.9"];
    let peer: IpAddr = peers[usize::from(peer) % peers.len()].parse().expect("an address");
    let lines: Option<Vec<HeaderValue>> =
        lines.split(|&byte| byte == b'\n').map(|line| HeaderValue::from_bytes(line).ok()).collect();
    let Some(lines) = lines else { return };
    let client = |lines: &[HeaderValue]| {
        let request = TestRequest::default().peer_addr((peer, 5000).into());
        let request =
            lines.iter().fold(request, |request, line| request.append_header(("x-forwarded-for", line.clone())));
        let request = request.to_http_request();
        client_address(&request, &trusted).expect("the connection has an address")
    };
    let found = client(&lines);
    assert_eq!(found, found.to_canonical());
    if !is_trusted(peer.to_canonical(), &trusted) {
        assert_eq!(found, peer.to_canonical(), "a stranger's word was taken");
    }
    if !is_trusted(found, &trusted) {
        let invented = HeaderValue::from_static("198.51.100.77");
        assert_eq!(client(&[&[invented][..], &lines].concat()), found, "the client's own word was taken");
    }
}

/// An id that is read is written as it was, whether it comes in a path, a page's `after` or JSON; so is a name.
pub fn ids(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    client_id::<GroupId>(text);
    client_id::<PersonId>(text);
    client_id::<UserId>(text);
    client_id::<TenantId>(text);
    if let Ok(tenant) = text.parse::<TenantId>() {
        assert!(!tenant.file_name().contains('/') && ![".", ".."].contains(&tenant.file_name().as_str()));
    }
    if let Some(person) = same::<Pseudonym>(text) {
        assert_eq!(Pseudonym::from_bytes(*person.as_bytes()), person);
    }
    if let Some(planned) = same::<GroupSessionId>(text).and_then(PlannedId::of) {
        assert_eq!(PlannedId::of(planned.id()), Some(planned));
    }
    if let Ok(name) = checked_name(text) {
        assert!(checked_name(&name).is_ok_and(|again| again == name));
    }
    if let Ok(page) = Query::<Page>::from_query(text)
        && let Ok((after, limit)) = page.parse::<PersonId>()
    {
        assert!((1..=1000).contains(&limit));
        assert_eq!(after.map(String::from), page.into_inner().after);
    }
}

/// As clients give them: JSON and text agree.
fn client_id<I>(text: &str)
where
    I: FromStr<Err = Error> + Display + PartialEq + std::fmt::Debug + Serialize + DeserializeOwned,
{
    let id = same::<I>(text);
    if let Some(id) = &id {
        assert_eq!(id.to_string(), text);
        assert!((1..=128).contains(&text.len()) && text.is_ascii());
    }
    let json = serde_json::to_string(text).expect("a text is written");
    assert_eq!(serde_json::from_str::<I>(&json).ok(), id);
}

/// The id, if the text is one; it is read again from what it is written as.
fn same<I: FromStr<Err = Error> + Display + PartialEq + std::fmt::Debug>(text: &str) -> Option<I> {
    let id: I = text.parse().ok()?;
    assert_eq!(id.to_string().parse::<I>().ok().as_ref(), Some(&id));
    Some(id)
}

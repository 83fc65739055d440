//! Keys, users and logins of the tests, and the ends of their rights.

use reqwest::Method;
use serde_json::{Value, json};

use super::{Answer, Api, TestServer, routes::PASSWORD};

pub(crate) const LOGIN: &str = "/api/v1/auth/login";

impl Api {
    /// Makes a key.
    pub(crate) async fn new_key(&self, body: &Value) -> Value {
        self.post("/api/v1/keys", body).await.expect(201)
    }

    /// Makes a user.
    pub(crate) async fn new_user(&self, id: &str, role: &str, groups: &[&str]) {
        let new = json!({ "id": id, "password": PASSWORD, "role": role, "groups": groups });
        self.post("/api/v1/users", &new).await.expect(201);
    }

    /// Logs in to the tenant `default`.
    pub(crate) async fn log_in(&self, user: &str, password: &str) -> Answer {
        self.without_key().post(LOGIN, &json!({ "tenant": "default", "user": user, "password": password })).await
    }

    /// The client of a new login, and its refresh token.
    pub(crate) async fn logged_in(&self, user: &str, password: &str) -> (Self, String) {
        let pair = self.log_in(user, password).await.expect(200);
        (self.with_key(pair["access_token"].as_str().unwrap()), pair["refresh_token"].as_str().unwrap().to_owned())
    }

    /// Asks for the next pair of tokens.
    pub(crate) async fn refresh(&self, token: &str) -> Answer {
        self.without_key().post("/api/v1/auth/refresh", &json!({ "refresh_token": token })).await
    }
}

/// How somebody's right ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    KeyRevoked,
    KeyRotated,
    UserDemoted,
    UserRemoved,
    /// Of the tenant `default`; [`Self::undo`] opens it again.
    TenantSuspended,
}

/// Somebody whose right is to end.
pub(crate) struct Caller {
    pub(crate) api: Api,
    /// As the audit log names them.
    pub(crate) actor: String,
    /// Where they are found.
    path: String,
}

impl Ending {
    pub(crate) const ALL: [Self; 5] =
        [Self::KeyRevoked, Self::KeyRotated, Self::UserDemoted, Self::UserRemoved, Self::TenantSuspended];

    /// Somebody new called `name` of this role, made by `owner`: with a key where it is the key's end, else with a login.
    pub(crate) async fn caller(self, owner: &Api, name: &str, role: &str, groups: &[&str]) -> Caller {
        if [Self::KeyRevoked, Self::KeyRotated].contains(&self) {
            let made = owner.new_key(&json!({ "name": name, "role": role, "groups": groups })).await;
            let (key, id) = (made["key"].as_str().unwrap(), made["id"].as_str().unwrap());
            return Caller { api: owner.with_key(key), actor: format!("key:{id}"), path: format!("/api/v1/keys/{id}") };
        }
        owner.new_user(name, role, groups).await;
        let tenant = if role == "operator" { Value::Null } else { "default".into() };
        let login = json!({ "tenant": tenant, "user": name, "password": PASSWORD });
        let pair = owner.without_key().post(LOGIN, &login).await.expect(200);
        let api = owner.with_key(pair["access_token"].as_str().unwrap());
        Caller { api, actor: format!("user:{name}"), path: format!("/api/v1/users/{name}") }
    }

    /// Ends it; `to` is what somebody is demoted to.
    pub(crate) async fn end(self, server: &TestServer, owner: &Api, caller: &Caller, to: &Value) {
        let (status, expected) = match self {
            Self::KeyRevoked | Self::UserRemoved => (owner.delete(&caller.path).await.status, 204),
            Self::KeyRotated => (owner.post(&format!("{}/rotate", caller.path), &Value::Null).await.status, 200),
            Self::UserDemoted => (owner.send(Method::PATCH, &caller.path, to).await.status, 200),
            Self::TenantSuspended => (suspend(server, true).await, 200),
        };
        assert_eq!(status, expected, "{self:?} of {}", caller.actor);
    }

    /// Opens the tenant again.
    pub(crate) async fn undo(self, server: &TestServer) {
        if self == Self::TenantSuspended {
            assert_eq!(suspend(server, false).await, 200);
        }
    }

    /// What the door says from then on.
    pub(crate) fn refusal(self) -> (u16, String) {
        let (status, code) = match self {
            Self::KeyRevoked | Self::KeyRotated | Self::UserRemoved => (401, "unauthenticated"),
            Self::UserDemoted => (403, "forbidden"),
            Self::TenantSuspended => (403, "tenant_suspended"),
        };
        (status, code.to_owned())
    }
}

async fn suspend(server: &TestServer, is_suspended: bool) -> u16 {
    let patch = json!({ "suspended": is_suspended });
    server.operator().send(Method::PATCH, "/api/v1/tenants/default", &patch).await.status
}

//! `rollcall user`, `rollcall keys`: who may come in.

use std::{
    io::{self, IsTerminal},
    path::Path,
};

use clap::{Args, Subcommand};
use serde::{Deserialize, de::value::StrDeserializer};

use super::{
    Common,
    door::{KeyFile, UserDoor},
    files::table,
    say,
};
use crate::{
    domain::{Grant, GroupId, Role, TenantId, UserId},
    error::{Error, Result},
    service::access::{
        Password,
        first_start::{DEFAULT_TENANT, operator_key_path, tenant_key_path},
        users::NewUser,
    },
};

#[derive(Debug, Args)]
pub(super) struct UserArgs {
    #[command(subcommand)]
    what: User,
}

#[derive(Debug, Subcommand)]
enum User {
    /// Makes a user; the password is asked for, or read from standard input.
    Add(AddArgs),
    /// Sets a user's password and ends their logins; it is asked for, or read from standard input.
    Passwd(PasswdArgs),
    /// Lists users with their roles.
    List(RealmArgs),
}

#[derive(Debug, Args)]
struct AddArgs {
    /// What they log in with; an e-mail address will do.
    user: UserId,
    /// admin, teacher, kiosk or viewer [default: admin; with --operator: operator].
    #[arg(long, value_parser = role, conflicts_with = "operator")]
    role: Option<Role>,
    /// A group of a teacher, or the one of a kiosk; may be given several times.
    #[arg(long = "group", value_name = "GROUP")]
    groups: Vec<GroupId>,
    #[command(flatten)]
    realm: RealmArgs,
}

#[derive(Debug, Args)]
struct PasswdArgs {
    /// Whose.
    user: UserId,
    #[command(flatten)]
    realm: RealmArgs,
}

/// Whose users.
#[derive(Debug, Clone, Args)]
pub(super) struct RealmArgs {
    /// The tenant.
    #[arg(long, default_value = DEFAULT_TENANT, conflicts_with = "operator")]
    tenant: TenantId,
    /// What is the server's own instead of a tenant's.
    #[arg(long)]
    operator: bool,
    /// The key for a running server [default: the content of DATA/TENANT.key or DATA/operator.key].
    #[arg(long, env = "ROLLCALL_KEY", hide_env_values = true)]
    key: Option<String>,
}

impl RealmArgs {
    pub(super) fn key_file(&self, data: &Path) -> KeyFile<'_> {
        let path = self.tenant().map_or_else(|| operator_key_path(data), |tenant| tenant_key_path(data, tenant));
        KeyFile { given: self.key.as_deref(), path }
    }

    /// The tenant; `None` for the server.
    pub(super) fn tenant(&self) -> Option<&TenantId> {
        (!self.operator).then_some(&self.tenant)
    }

    /// What a command on the machine itself may do there: everything.
    pub(super) fn grant(&self) -> Grant {
        self.tenant().cloned().map_or_else(Grant::operator, Grant::admin)
    }
}

#[derive(Debug, Args)]
pub(super) struct KeysArgs {
    #[command(subcommand)]
    what: Keys,
}

#[derive(Debug, Subcommand)]
enum Keys {
    /// Makes a new key that signs access tokens; those signed before are good until they are over.
    Rotate(RotateArgs),
}

#[derive(Debug, Args)]
struct RotateArgs {
    /// The operator's key for a running server [default: the content of DATA/operator.key].
    #[arg(long, env = "ROLLCALL_OPERATOR_KEY", hide_env_values = true)]
    key: Option<String>,
}

pub(super) fn run(common: &Common, args: &UserArgs) -> Result<()> {
    let settings = common.settings()?;
    actix::System::new().block_on(async {
        match &args.what {
            User::Add(AddArgs { user, role, groups, realm }) => {
                let role = role.unwrap_or(if realm.operator { Role::Operator } else { Role::Admin });
                let (id, groups) = (user.clone(), groups.clone());
                let new = NewUser { id, password: read_password()?, role, groups };
                let made = UserDoor::open(settings, realm).await?.create_user(new).await?;
                say(format_args!("{}: {}", made.id, name(made.role)))
            }
            User::Passwd(PasswdArgs { user, realm }) => {
                let password = read_password()?;
                let changed = UserDoor::open(settings, realm).await?.set_password(user, password).await?;
                say(format_args!("{}: new password, logins ended", changed.id))
            }
            User::List(realm) => {
                let mut users = table(&["user", "role", "groups"]);
                for user in UserDoor::open(settings, realm).await?.users().await? {
                    let groups: Vec<String> = user.groups.into_iter().map(String::from).collect();
                    users.add_row([user.id.to_string(), name(user.role), groups.join(", ")]);
                }
                say(users)
            }
        }
    })
}

pub(super) fn run_keys(common: &Common, args: &KeysArgs) -> Result<()> {
    let Keys::Rotate(RotateArgs { key }) = &args.what;
    let settings = common.settings()?;
    let realm = RealmArgs { tenant: DEFAULT_TENANT.parse()?, operator: true, key: key.clone() };
    actix::System::new().block_on(async {
        UserDoor::open(settings, &realm).await?.rotate_token_key().await?;
        say("a new key signs access tokens")
    })
}

/// A role by the name that the API has for it.
fn role(text: &str) -> Result<Role, String> {
    Role::deserialize(StrDeserializer::<serde::de::value::Error>::new(text)).map_err(|error| error.to_string())
}

fn name(role: Role) -> String {
    serde_json::to_value(role).ok().and_then(|name| name.as_str().map(str::to_owned)).unwrap_or_default()
}

/// Twice from a terminal, without showing it; the first line of anything else. Never from an argument, which others on
/// the machine may see.
fn read_password() -> Result<Password> {
    let unreadable = |error: io::Error| Error::invalid("no password can be read").with_source(error);
    if !io::stdin().is_terminal() {
        let mut line = String::new();
        io::stdin().read_line(&mut line).map_err(unreadable)?;
        return Ok(line.trim_end_matches(['\n', '\r']).to_owned().into());
    }
    let password = rpassword::prompt_password("Password: ").map_err(unreadable)?;
    if rpassword::prompt_password("Again: ").map_err(unreadable)? != password {
        return Err(Error::invalid("the two passwords differ").with_code("invalid_password"));
    }
    Ok(password.into())
}

//! The event log, and those who are told of it.

use super::found::{Finding, Found, has_all, misplaced, missing};
use crate::{
    domain::{DeadLetter, Delivery, Event, GroupId, Pseudonym, Webhook, WebhookId},
    error::Result,
    store::{
        events::log::{Mention, Numbers},
        keys,
        people::pseudonyms::pseudonym,
    },
};

pub(in crate::store) fn event(of: &Found<'_>, number: u64) -> Finding {
    of.read(|event: &Event| {
        let in_log = numbers(of).is_none_or(|log| (log.first..log.next).contains(&number));
        let mut indexed = true;
        if let Some(person) = event.what.person() {
            let who = pseudonym(of.view, of.tenant, person).unwrap_or(None);
            indexed &= who.is_some_and(|who| of.has(&keys::person_event(of.tenant, who, number)).unwrap_or(true));
        }
        if let Some(group) = event.what.group() {
            indexed &= of.has(&keys::group_event(of.tenant, group, number))?;
        }
        Ok(misplaced(event.id != number)
            .or_else(|| missing(!in_log, "no_event_log"))
            .or_else(|| missing(!indexed, "no_event_index")))
    })
}

pub(in crate::store) fn person_event(of: &Found<'_>, person: Pseudonym, number: u64) -> Finding {
    let known = of.has_person(person)?;
    of.read(|_: &Mention| {
        let who = |event: &Event| pseudonym(of.view, of.tenant, event.what.person()?).unwrap_or(None);
        let about = numbered(of, number).is_some_and(|event| who(&event) == Some(person));
        Ok(missing(!about, "no_event").or_else(|| missing(!known, "no_person")))
    })
}

pub(in crate::store) fn group_event(of: &Found<'_>, group: &GroupId, number: u64) -> Finding {
    let known = of.has_group(group)?;
    of.read(|_: &Mention| {
        let about = numbered(of, number).is_some_and(|event| event.what.group() == Some(group));
        Ok(missing(!about, "no_event").or_else(|| missing(!known, "no_group")))
    })
}

pub(in crate::store) fn webhook(of: &Found<'_>, id: WebhookId) -> Finding {
    of.read(|webhook: &Webhook| {
        let followed = of.has(&keys::delivery(of.tenant, id))?;
        let groups = webhook.filter.groups.iter().flatten();
        let known = has_all(of.view, groups.map(|group| keys::group(of.tenant, group)))?;
        Ok(misplaced(webhook.id != id)
            .or_else(|| missing(!followed, "no_delivery"))
            .or_else(|| missing(!known, "no_group")))
    })
}

pub(in crate::store) fn delivery(of: &Found<'_>, id: WebhookId) -> Finding {
    let known = has_webhook(of, id)?;
    of.read(|delivery: &Delivery| {
        let in_log = numbers(of).is_none_or(|log| delivery.done < log.next);
        Ok(missing(!known, "no_webhook").or_else(|| missing(!in_log, "no_event_log")))
    })
}

pub(in crate::store) fn dead_letter(of: &Found<'_>, id: WebhookId, number: u64) -> Finding {
    let (known, kept) = (has_webhook(of, id)?, of.has(&keys::event(of.tenant, number))?);
    of.read(|letter: &DeadLetter| {
        Ok(misplaced(letter.event != number)
            .or_else(|| missing(!known, "no_webhook"))
            .or_else(|| missing(!kept, "no_event")))
    })
}

fn numbered(of: &Found<'_>, number: u64) -> Option<Event> {
    of.get(&keys::event(of.tenant, number))
}

/// `None` where they cannot be read, which is noted where they are.
fn numbers(of: &Found<'_>) -> Option<Numbers> {
    Numbers::of(of.view, of.tenant).ok()
}

fn has_webhook(of: &Found<'_>, id: WebhookId) -> Result<bool> {
    of.has(&keys::webhook(of.tenant, id))
}

//! Reports of attendance: which sessions they are of, and their people, a page at a time.

use std::{fs::File, io::Read, mem, pin::Pin, sync::Arc};

use bytes::Bytes;
use futures_util::{Stream, stream};
use jiff::{ToSpan, civil::Date};
use serde_json::json;

use crate::{
    domain::{Access, Group, GroupId, GroupSession, GroupSessionId, Permission, Pseudonym, TenantScope},
    error::{Error, ErrorKind, Result},
    reports::{
        By, Period, PersonRow, ReportSession,
        caption::Caption,
        heatmap::{HeatCell, heatmap},
        lines::Line,
        tables::Table,
        writer::{Format, Rest, Wanted, Writer},
    },
    runtime::{ServiceClass, Turn, disk, spawn_blocking},
    service::attendance::Service,
    store::{About, Store},
};

/// The longest period, in days.
const MAX_DAYS: i32 = 366;
/// How far a report goes back that says nothing of it, in days.
const HALF_A_YEAR_DAYS: i32 = 182;
/// The most sessions of a report: in a workbook they are columns, of which Excel has 16 384.
const MAX_SESSIONS: usize = 4000;
/// Workbooks that are made at once, of different tenants; each takes a processor and room on the disk.
pub(in crate::service) const WORKBOOKS_AT_ONCE: usize = 2;
/// The most people of a page, and the most cells.
const PAGE_PEOPLE: usize = 500;
const PAGE_CELLS: usize = 200_000;
/// Groups asked for at once.
const PAGE_GROUPS: usize = 1000;
/// A part of a workbook that is sent.
const PART_BYTES: usize = 1 << 16;

/// What a report is to be of.
#[derive(Debug, Clone)]
pub struct ReportParams {
    /// A group; all that the caller may read if missing.
    pub group: Option<GroupId>,
    /// The first local date of its sessions; half a year before the last if missing.
    pub from: Option<Date>,
    /// The last; today where the tenant is if missing.
    pub until: Option<Date>,
}

/// A report, in the making.
pub struct Report {
    /// The dates that it is of.
    pub period: Period,
    /// It, in parts.
    pub parts: ReportParts,
}

/// A report in parts, in order. One whose last part did not come is none.
pub type ReportParts = Pin<Box<dyn Stream<Item = Result<Bytes>>>>;

impl Service {
    /// A report of closed sessions. With `below`, 0 to 1, it is of people who attended less than this of what counts. That
    /// a file of rows was given is in the audit log.
    ///
    /// # Errors
    /// `Forbidden` for a group that the caller may not read, `NotFound` `group_not_found`, `Invalid` `invalid_range` or
    /// `invalid_threshold`, `Unprocessable` `report_too_large`.
    pub async fn attendance_report(
        &self,
        access: &Access,
        params: ReportParams,
        by: By,
        format: Format,
        below: Option<f64>,
    ) -> Result<Report> {
        if !below.is_none_or(|rate| (0.0..=1.0).contains(&rate)) {
            return Err(Error::invalid("threshold is 0 to 1").with_code("invalid_threshold"));
        }
        let group = params.group.clone();
        let (period, pages) = self.pages(access, params).await?;
        if format.is_table() {
            let asked = json!({ "report": "attendance", "by": by, "below": below, "period": period, "group": group,
                "format": format });
            self.store.note_act(&access.author(), "report.export", About::Report(asked)).await?;
        }
        let wanted = Wanted { by, format, period, below, folder: self.data.to_path_buf() };
        let begun = (wanted, Arc::clone(&pages.sessions));
        let (writer, head) = in_background(move || Writer::begin(begun.0, begun.1)).await?;
        if format == Format::Xlsx {
            let turn = Turn::new(ServiceClass::Interactive, access.tenant_scope()?.tenant().as_str());
            let parts = file_parts(self.workbook(&turn, writer, pages).await?);
            return Ok(Report { period, parts });
        }
        if format == Format::Svg {
            // Drawn when all is known: one that is too large is refused before the answer begins.
            let (picture, _) = text_part(writer, pages, head).await?;
            return Ok(Report { period, parts: Box::pin(stream::iter([Ok(picture)])) });
        }
        let state = Some((writer, pages, head));
        let parts = stream::try_unfold(state, |state| async {
            let Some((writer, pages, ready)) = state else { return Ok(None) };
            text_part(writer, pages, ready).await.map(Some)
        });
        Ok(Report { period, parts: Box::pin(parts) })
    }

    /// On which weekdays and at which hours people attended, and what that is of.
    ///
    /// # Errors
    /// Those of [`Self::attendance_report`].
    pub async fn attendance_heatmap(&self, access: &Access, params: ReportParams) -> Result<(Vec<HeatCell>, Caption)> {
        let (period, mut pages) = self.pages(access, params).await?;
        let caption = Caption::of_heatmap(period, &pages.sessions);
        let mut table = Table::new(By::Session, Arc::clone(&pages.sessions), None);
        while let Some(rows) = pages.next().await? {
            table.add(rows);
        }
        let lines = table.finish();
        let sessions = lines.iter().filter_map(|line| if let Line::Session(line) = line { Some(line) } else { None });
        Ok((heatmap(sessions), caption))
    }

    async fn workbook(&self, turn: &Turn, mut writer: Writer, mut pages: Pages) -> Result<File> {
        let place = self.workbooks.enter(turn, usize::MAX).await;
        let _place = place.map_err(|_| Error::internal("no workbook can be made any more"))?;
        while let Some(rows) = pages.next().await? {
            disk::require_room(&self.data, disk::FILES_LEAVE)?;
            writer = in_background(move || writer.add(rows).map(|_| writer)).await?;
        }
        match in_background(move || writer.finish()).await? {
            Rest::File(file) => Ok(file),
            Rest::Bytes(_) => Err(Error::internal("a workbook is a file")),
        }
    }

    /// The people of a report, from the first.
    async fn pages(&self, access: &Access, params: ReportParams) -> Result<(Period, Pages)> {
        let scope = access.tenant_scope()?;
        let group = params.group.clone();
        let period = self.period(&scope, params).await?;
        let Period { from, until } = period;
        let groups = self.groups_of_report(access, &scope, group).await?;
        let mut sessions = Vec::new();
        for group in &groups {
            let (group, closed) = self.store.closed_sessions(&scope, group, from, until).await?;
            for session in closed {
                sessions.push(report_session(&group, session)?);
            }
            if sessions.len() > MAX_SESSIONS {
                let message = format!("more than {MAX_SESSIONS} sessions: ask for one group, or a shorter period");
                return Err(Error::new(ErrorKind::Unprocessable, message).with_code("report_too_large"));
            }
        }
        sessions.sort_by_key(|session| (session.starts_at, session.session));
        let sessions: Arc<[ReportSession]> = sessions.into();
        let ids = sessions.iter().map(|session| session.session).collect();
        let limit = (PAGE_CELLS / sessions.len().max(1)).clamp(1, PAGE_PEOPLE);
        Ok((period, Pages { store: self.store.clone(), scope, sessions, ids, limit, place: Place::Start }))
    }

    async fn period(&self, scope: &TenantScope, ReportParams { from, until, .. }: ReportParams) -> Result<Period> {
        let until = match until {
            Some(until) => until,
            None => self.store.tenant_settings(scope).await?.local_time(self.clock.now())?.date(),
        };
        let from = from.unwrap_or_else(|| until.saturating_sub(HALF_A_YEAR_DAYS.days()));
        if until < from || (until - from).get_days() >= MAX_DAYS {
            return Err(Error::invalid("until is not before from, and within a year of it").with_code("invalid_range"));
        }
        Ok(Period { from, until })
    }

    /// The groups that a report is of; one that is gone by now is none.
    async fn groups_of_report(
        &self,
        access: &Access,
        scope: &TenantScope,
        group: Option<GroupId>,
    ) -> Result<Vec<GroupId>> {
        if let Some(group) = group {
            access.require(Permission::ReportAttendance, Some(&group))?;
            return Ok(vec![group]);
        }
        let (mut groups, mut after): (Vec<GroupId>, Option<GroupId>) = (Vec::new(), None);
        loop {
            let page = self.store.groups(scope, after.as_ref(), PAGE_GROUPS).await?;
            after = page.last().map(|group| group.id.clone());
            let is_last = page.len() < PAGE_GROUPS;
            groups.extend(page.into_iter().map(|group| group.id));
            if is_last {
                break;
            }
        }
        if let Some(own) = access.groups() {
            groups.retain(|group| own.contains(group));
        }
        Ok(groups)
    }
}

/// The people of a report, a page at a time.
struct Pages {
    store: Store,
    scope: TenantScope,
    sessions: Arc<[ReportSession]>,
    ids: Arc<[GroupSessionId]>,
    /// People of a page.
    limit: usize,
    place: Place,
}

enum Place {
    Start,
    After(Pseudonym),
    End,
}

impl Pages {
    async fn next(&mut self) -> Result<Option<Vec<PersonRow>>> {
        let after = match mem::replace(&mut self.place, Place::End) {
            _ if self.ids.is_empty() => return Ok(None),
            Place::Start => None,
            Place::After(person) => Some(person),
            Place::End => return Ok(None),
        };
        let page = self.store.register_page(&self.scope, Arc::clone(&self.ids), after, self.limit).await?;
        self.place = page.next.map_or(Place::End, Place::After);
        Ok(Some(page.rows))
    }
}

/// The next part of a report, never an empty one, and what comes after it.
async fn text_part(
    mut writer: Writer,
    mut pages: Pages,
    mut ready: Vec<u8>,
) -> Result<(Bytes, Option<(Writer, Pages, Vec<u8>)>)> {
    while ready.is_empty() {
        let Some(rows) = pages.next().await? else {
            let Rest::Bytes(bytes) = in_background(move || writer.finish()).await? else {
                return Err(Error::internal("only a workbook is a file"));
            };
            return Ok((bytes.into(), None));
        };
        (writer, ready) = in_background(move || writer.add(rows).map(|bytes| (writer, bytes))).await?;
    }
    Ok((ready.into(), Some((writer, pages, Vec::new()))))
}

/// A file from its start, in parts.
fn file_parts(file: File) -> ReportParts {
    Box::pin(stream::try_unfold(file, |mut file| async {
        let read = move || {
            let mut part = Vec::with_capacity(PART_BYTES);
            let unread = |error| Error::internal("the workbook could not be read").with_source(error);
            (&mut file).take(PART_BYTES as u64).read_to_end(&mut part).map_err(unread)?;
            Ok((!part.is_empty()).then(|| (part.into(), file)))
        };
        in_background(read).await
    }))
}

fn report_session(group: &Group, session: GroupSession) -> Result<ReportSession> {
    let local_start = session.local_start(group)?;
    let GroupSession { id, title, date, starts_at, .. } = session;
    let (group, group_name) = (group.id.clone(), group.name.clone());
    Ok(ReportSession { session: id, group, group_name, title, date, starts_at, local_start })
}

/// Runs a part of the work beside the threads that answer.
async fn in_background<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    spawn_blocking(work).await.unwrap_or_else(|lost| Err(Error::internal("a report was cut short").with_source(lost)))
}

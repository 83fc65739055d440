//! Lists as pages of paper, below each other in one picture: the register, and people or groups with how much was attended.

use plotters::{
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};

use super::{
    ReportSession,
    caption::Caption,
    lines::PersonLine,
    svg::{Area, Drawn, short},
    tally::Figures,
    words::{letter, meaning},
};
use crate::domain::Status;

/// A4 at 96 dots an inch, upright.
pub(super) const SHORT_PX: u32 = 794;
/// Its longer side.
pub(super) const LONG_PX: u32 = 1123;

const MARGIN_PX: i32 = 48;
/// Title and what it is of.
const CAPTION_PX: i32 = 56;
const ROW_PX: i32 = 20;
const FOOT_PX: i32 = 24;
/// The names of people.
const NAME_PX: i32 = 210;
/// A session in the register.
const CELL_PX: i32 = 22;
/// The starts and titles of the sessions, upright.
const STARTS_PX: i32 = 150;
/// What is longer is cut, in Unicode scalar values.
const NAME_CHARS: usize = 30;
const START_CHARS: usize = 26;

const INK: RGBColor = RGBColor(0x1a, 0x1a, 0x1a);
const RULE: RGBColor = RGBColor(0xc8, 0xc8, 0xc8);
const BAR: RGBColor = RGBColor(0x00, 0x72, 0xb2);

/// People with their statuses in each session: a page for so many people and so many sessions.
pub(super) struct RegisterPages<'r> {
    pub(super) caption: &'r Caption,
    pub(super) sessions: &'r [ReportSession],
    pub(super) people: &'r [PersonLine],
}

impl RegisterPages<'_> {
    const fn rows() -> usize {
        ((SHORT_PX as i32 - 2 * MARGIN_PX - CAPTION_PX - STARTS_PX - 2 * FOOT_PX) / ROW_PX) as usize
    }

    const fn columns() -> usize {
        // Beside the names and their rates.
        ((LONG_PX as i32 - 2 * MARGIN_PX - NAME_PX - 3 * CELL_PX) / CELL_PX) as usize
    }

    /// How many pages it takes.
    pub(super) fn count(&self) -> u32 {
        (self.people.len().div_ceil(Self::rows()).max(1) * self.sessions.len().div_ceil(Self::columns()).max(1)) as u32
    }

    pub(super) fn draw(&self, area: &Area<'_>) -> Drawn {
        let across = self.sessions.len().div_ceil(Self::columns()).max(1);
        let pages = area.split_evenly((self.count() as usize, 1));
        for (place, page) in pages.iter().enumerate() {
            let (down, right) = (place / across, place % across);
            let people = self.people.chunks(Self::rows()).nth(down).unwrap_or_default();
            let first = right * Self::columns();
            let sessions = &self.sessions[first.min(self.sessions.len())..];
            let sessions = &sessions[..sessions.len().min(Self::columns())];
            head(page, self.caption, (place + 1, pages.len()))?;
            page_of_register(page, people, sessions, first)?;
        }
        Ok(())
    }
}

fn page_of_register(page: &Area<'_>, people: &[PersonLine], sessions: &[ReportSession], first: usize) -> Drawn {
    let top = MARGIN_PX + CAPTION_PX + STARTS_PX;
    let left = MARGIN_PX + NAME_PX;
    let upright = style(11, HPos::Left, VPos::Center).transform(FontTransform::Rotate270);
    for (column, session) in sessions.iter().enumerate() {
        let title = session.title.as_deref().unwrap_or(&session.group_name);
        let start = short(&format!("{} {title}", session.local_start.strftime("%F %R")), START_CHARS);
        text(page, &start, (left + column as i32 * CELL_PX + CELL_PX / 2, top - 4), &upright)?;
    }
    let rates = left + sessions.len() as i32 * CELL_PX;
    for (row, line) in people.iter().enumerate() {
        let y = top + row as i32 * ROW_PX;
        rule(page, y, rates + 3 * CELL_PX)?;
        text(page, &name(line), (MARGIN_PX, y + ROW_PX / 2), &style(12, HPos::Left, VPos::Center))?;
        let statuses = line.statuses.iter().flatten().skip(first).take(sessions.len());
        for (column, status) in statuses.enumerate() {
            let Some(status) = *status else { continue };
            let x = left + column as i32 * CELL_PX;
            let shade = shade(status);
            let cell = [(x + 1, y + 1), (x + CELL_PX - 1, y + ROW_PX - 1)];
            page.draw(&Rectangle::new(cell, shade.filled()))?;
            let middle = (x + CELL_PX / 2, y + ROW_PX / 2);
            text(page, letter(status), middle, &style(12, HPos::Center, VPos::Center))?;
        }
        let rate = (rates + 3 * CELL_PX, y + ROW_PX / 2);
        text(page, &percent(line.figures.rate), rate, &style(12, HPos::Right, VPos::Center))?;
    }
    let foot = (MARGIN_PX, SHORT_PX as i32 - MARGIN_PX - FOOT_PX);
    let letters: Vec<String> = Status::ALL.into_iter().map(|it| format!("{} {}", letter(it), meaning(it))).collect();
    text(page, &letters.join(" · "), foot, &style(11, HPos::Left, VPos::Bottom))
}

/// Who or what is in a list.
pub(super) struct Listed {
    pub(super) name: String,
    pub(super) figures: Figures,
}

impl From<PersonLine> for Listed {
    fn from(PersonLine { person, name, figures, .. }: PersonLine) -> Self {
        Self { name: name.unwrap_or_else(|| person.to_string()), figures }
    }
}

/// How much was attended, a line below the other.
pub(super) struct ListPages<'r> {
    pub(super) caption: &'r Caption,
    pub(super) lines: &'r [Listed],
}

impl ListPages<'_> {
    const fn rows() -> usize {
        ((LONG_PX as i32 - 2 * MARGIN_PX - CAPTION_PX - ROW_PX - FOOT_PX) / ROW_PX) as usize
    }

    /// How many pages it takes.
    pub(super) fn count(&self) -> u32 {
        self.lines.len().div_ceil(Self::rows()).max(1) as u32
    }

    pub(super) fn draw(&self, area: &Area<'_>) -> Drawn {
        let pages = area.split_evenly((self.count() as usize, 1));
        for (place, page) in pages.iter().enumerate() {
            head(page, self.caption, (place + 1, pages.len()))?;
            page_of_list(page, self.lines.chunks(Self::rows()).nth(place).unwrap_or_default())?;
        }
        Ok(())
    }
}

fn page_of_list(page: &Area<'_>, lines: &[Listed]) -> Drawn {
    let (numbers, rates, bars) = (MARGIN_PX + NAME_PX + 120, MARGIN_PX + NAME_PX + 190, MARGIN_PX + NAME_PX + 210);
    let right = SHORT_PX as i32 - MARGIN_PX;
    let top = MARGIN_PX + CAPTION_PX;
    let (bold, plain) = (style(12, HPos::Left, VPos::Center), style(12, HPos::Right, VPos::Center));
    let middle = top + ROW_PX / 2;
    text(page, "Name", (MARGIN_PX, middle), &bold)?;
    text(page, "Attended of", (numbers, middle), &plain)?;
    text(page, "Attendance", (rates, middle), &plain)?;
    for (row, line) in lines.iter().enumerate() {
        let y = top + (row as i32 + 1) * ROW_PX;
        let middle = y + ROW_PX / 2;
        rule(page, y, right)?;
        text(page, &short(&line.name, NAME_CHARS), (MARGIN_PX, middle), &bold)?;
        text(page, &format!("{} of {}", line.figures.attended, line.figures.counted), (numbers, middle), &plain)?;
        text(page, &percent(line.figures.rate), (rates, middle), &plain)?;
        let length = line.figures.rate.unwrap_or(0.0) * f64::from(right - bars);
        page.draw(&Rectangle::new([(bars, y + 5), (bars + length as i32, y + ROW_PX - 5)], BAR.filled()))?;
    }
    Ok(())
}

/// Title, what it is of, and which page.
fn head(page: &Area<'_>, caption: &Caption, (place, count): (usize, usize)) -> Drawn {
    text(page, &caption.title, (MARGIN_PX, MARGIN_PX), &style(20, HPos::Left, VPos::Top))?;
    text(page, &caption.of, (MARGIN_PX, MARGIN_PX + 28), &style(13, HPos::Left, VPos::Top))?;
    let (width, height) = page.dim_in_pixel();
    let corner = (width as i32 - MARGIN_PX, height as i32 - MARGIN_PX);
    text(page, &format!("page {place} of {count}"), corner, &style(11, HPos::Right, VPos::Bottom))
}

fn name(line: &PersonLine) -> String {
    short(line.name.as_deref().unwrap_or(line.person.as_str()), NAME_CHARS)
}

fn percent(rate: Option<f64>) -> String {
    rate.map_or_else(|| "-".to_owned(), |rate| format!("{:.0} %", rate * 100.0))
}

/// Light enough for letters, and told apart by all kinds of colour vision; the letters say the same.
const fn shade(status: Status) -> RGBColor {
    match status {
        Status::Present => RGBColor(0xd6, 0xea, 0xf6),
        Status::Late | Status::LeftEarly => RGBColor(0xf6, 0xe3, 0xa8),
        Status::Absent => RGBColor(0xee, 0xa2, 0x78),
        Status::Undecided => RGBColor(0xff, 0xff, 0xff),
        Status::Excused | Status::Holiday | Status::NotOnRoster | Status::Covered => RGBColor(0xe6, 0xe6, 0xe6),
    }
}

fn style(size: u32, across: HPos, down: VPos) -> TextStyle<'static> {
    ("sans-serif", size).into_font().color(&INK).pos(Pos::new(across, down))
}

fn text(page: &Area<'_>, text: &str, at: (i32, i32), style: &TextStyle<'_>) -> Drawn {
    page.draw(&Text::new(text, at, style.clone()))
}

fn rule(page: &Area<'_>, y: i32, right: i32) -> Drawn {
    page.draw(&PathElement::new([(MARGIN_PX, y), (right, y)], RULE))
}

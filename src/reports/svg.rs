//! Pictures as SVG, of the size of A4 paper: bars, a heat map, lists of people. Texts in it are drawn with the viewer's
//! fonts.

use std::{ops::Range, sync::Arc};

use plotters::{
    coord::Shift,
    drawing::{DrawingArea, DrawingAreaErrorKind},
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};

use super::{
    By, ReportSession,
    caption::Caption,
    heatmap::HeatCell,
    lines::{Line, PersonLine},
    pages::{LONG_PX, ListPages, Listed, RegisterPages, SHORT_PX},
    sorted,
};
use crate::error::{Error, ErrorKind, Result};

const BAR: RGBColor = RGBColor(0x2b, 0x6c, 0xb0);
const PALE: RGBColor = RGBColor(0xeb, 0xf4, 0xfb);
const DARK: RGBColor = RGBColor(0x0b, 0x3c, 0x6f);
/// The most people of a picture that lists them, and in the register the most marks.
const MAX_LISTED: usize = 1000;
const MAX_MARKS: usize = 50_000;
/// The names that fit under bars.
const NAMES: usize = 10;
/// How the people are sorted by their rates: so many bars.
const STEPS: usize = 10;
const WEEKDAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

pub(super) type Drawn<T = ()> = Result<T, DrawingAreaErrorKind<std::io::Error>>;
pub(super) type Area<'p> = DrawingArea<SVGBackend<'p>, Shift>;

/// A picture of a table in the making. It keeps a bar for each session, ten for all the people, or no more people or groups
/// than it can list.
pub struct Chart {
    by: By,
    caption: Caption,
    sessions: Arc<[ReportSession]>,
    content: Content,
}

enum Content {
    /// Names and heights.
    Bars(Vec<(String, f64)>),
    /// One below the other.
    People(Vec<PersonLine>),
    /// Likewise.
    Groups(Vec<Listed>),
}

impl Chart {
    /// An empty picture. Who is on it because of attending too little is listed.
    pub fn new(by: By, below: Option<f64>, caption: Caption, sessions: Arc<[ReportSession]>) -> Self {
        let step = |step: usize| (format!("{}-{} %", step * 100 / STEPS, (step + 1) * 100 / STEPS), 0.0);
        let content = match (by, below) {
            (By::Matrix, _) | (By::Person, Some(_)) => Content::People(Vec::new()),
            (By::Person, None) => Content::Bars((0..STEPS).map(step).collect()),
            (By::Session, _) => Content::Bars(Vec::new()),
            (By::Group, _) => Content::Groups(Vec::new()),
        };
        Self { by, caption, sessions, content }
    }

    /// Adds lines.
    ///
    /// # Errors
    /// `Unprocessable` `report_too_large` for more people or groups than a picture lists.
    pub fn add(&mut self, lines: &[Line]) -> Result<()> {
        for line in lines {
            match (&mut self.content, line) {
                (Content::People(people), Line::Person(line)) => {
                    people.push(line.clone());
                    let marks = line.statuses.as_ref().map_or(0, Vec::len) * people.len();
                    if people.len() > MAX_LISTED || marks > MAX_MARKS {
                        return Err(too_large());
                    }
                }
                (Content::Bars(bars), Line::Person(line)) => {
                    let Some(rate) = line.figures.rate else { continue };
                    bars[((rate * STEPS as f64) as usize).min(STEPS - 1)].1 += 1.0;
                }
                (Content::Bars(bars), Line::Session(line)) => {
                    let start = line.session.local_start.strftime("%F %R").to_string();
                    bars.push(bar(start, line.figures.rate));
                }
                (Content::Groups(groups), Line::Group(line)) => {
                    groups.push(Listed { name: line.group_name.clone(), figures: line.figures });
                    if groups.len() > MAX_LISTED {
                        return Err(too_large());
                    }
                }
                // No table has lines of two kinds.
                _ => {}
            }
        }
        Ok(())
    }

    /// The picture.
    pub fn finish(self) -> Result<String> {
        let Self { by, caption, sessions, content } = self;
        match content {
            Content::Bars(bars) => {
                picture((LONG_PX, SHORT_PX), |area| draw_bars(by, &bars, &captioned(area, &caption)?))
            }
            Content::Groups(groups) => list(&caption, &groups),
            Content::People(mut people) => {
                people.sort_by_cached_key(sorted::key);
                if by == By::Matrix {
                    let pages = RegisterPages { caption: &caption, sessions: &sessions, people: &people };
                    picture((LONG_PX, SHORT_PX * pages.count()), |area| pages.draw(area))
                } else {
                    list(&caption, &people.into_iter().map(Listed::from).collect::<Vec<_>>())
                }
            }
        }
    }
}

fn list(caption: &Caption, lines: &[Listed]) -> Result<String> {
    let pages = ListPages { caption, lines };
    picture((SHORT_PX, LONG_PX * pages.count()), |area| pages.draw(area))
}

fn too_large() -> Error {
    let message = "there are too many people, groups or sessions for a picture: ask for one group, a shorter period, or a \
                   workbook";
    Error::new(ErrorKind::Unprocessable, message).with_code("report_too_large")
}

fn bar(name: String, rate: Option<f64>) -> (String, f64) {
    (name, rate.unwrap_or(0.0) * 100.0)
}

fn draw_bars(by: By, bars: &[(String, f64)], area: &Area<'_>) -> Drawn {
    let (across, unit) = match by {
        By::Person | By::Matrix => ("attended of counted", "people"),
        By::Session | By::Group => ("start of the session", "attended of counted, %"),
    };
    let highest = match by {
        By::Person | By::Matrix => bars.iter().map(|bar| bar.1).fold(1.0, f64::max) * 1.05,
        By::Session | By::Group => 100.0,
    };
    // The discrete ranges of plotters hold their end, and one of a single number has no width.
    let last = bars.len().saturating_sub(1).max(1);
    let mut chart = ChartBuilder::on(area)
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(60)
        .build_cartesian_2d((0..last).into_segmented(), 0.0..highest)?;
    let name = |place: &SegmentValue<usize>| match place {
        SegmentValue::CenterOf(place) => bars.get(*place).map(|bar| bar.0.clone()).unwrap_or_default(),
        _ => String::new(),
    };
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .x_labels(NAMES)
        .x_label_formatter(&name)
        .x_desc(across)
        .y_desc(unit)
        // Of few people the heights between two are none.
        .y_label_formatter(&|height| if height.fract() < 1e-9 { format!("{height:.0}") } else { String::new() })
        .draw()?;
    chart.draw_series(bars.iter().enumerate().map(|(place, &(_, height))| {
        let corners = [(SegmentValue::Exact(place), 0.0), (SegmentValue::Exact(place + 1), height)];
        let mut bar = Rectangle::new(corners, BAR.filled());
        bar.set_margin(0, 0, 1, 1);
        bar
    }))?;
    Ok(())
}

/// The picture of a heat map: a row a weekday, a column an hour.
pub fn heatmap(cells: &[HeatCell], caption: &Caption) -> Result<String> {
    picture((LONG_PX, SHORT_PX), |area| draw_heatmap(cells, &captioned(area, caption)?))
}

fn draw_heatmap(cells: &[HeatCell], area: &Area<'_>) -> Drawn {
    let hours = hours(cells);
    let mut chart = ChartBuilder::on(area)
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(60)
        // Monday is at the top.
        .build_cartesian_2d(hours.clone().into_segmented(), (0..6).into_segmented())?;
    let hour = |place: &SegmentValue<i32>| match place {
        SegmentValue::CenterOf(hour) => format!("{hour:02}:00"),
        _ => String::new(),
    };
    let weekday = |place: &SegmentValue<i32>| match place {
        SegmentValue::CenterOf(row) => WEEKDAYS.get((6 - row) as usize).copied().unwrap_or_default().to_owned(),
        _ => String::new(),
    };
    chart
        .configure_mesh()
        .disable_mesh()
        .x_labels(hours.len() + 1)
        .y_labels(7)
        .x_label_formatter(&hour)
        .y_label_formatter(&weekday)
        .x_desc("start of the session, on the clocks of its group")
        .draw()?;
    for cell in cells {
        let Some(rate) = cell.rate else { continue };
        let (column, row) = (i32::from(cell.hour), 7 - i32::from(cell.weekday));
        let corners = [(column, row), (column + 1, row + 1)];
        let corners = corners.map(|(x, y)| (SegmentValue::Exact(x), SegmentValue::Exact(y)));
        let mut square = Rectangle::new(corners, shade(rate).filled());
        square.set_margin(1, 1, 1, 1);
        chart.draw_series([square])?;
        let ink = if rate > 0.5 { &WHITE } else { &BLACK };
        let style = ("sans-serif", 12).into_font().color(ink).pos(Pos::new(HPos::Center, VPos::Center));
        let middle = (SegmentValue::CenterOf(column), SegmentValue::CenterOf(row));
        chart.draw_series([Text::new(format!("{:.0} %", rate * 100.0), middle, style)])?;
    }
    Ok(())
}

/// The hours that a heat map shows, the last one too, as plotters has it: of a working day, and more where there are
/// sessions.
fn hours(cells: &[HeatCell]) -> Range<i32> {
    let of_cells = || cells.iter().map(|cell| i32::from(cell.hour));
    of_cells().min().unwrap_or(8).min(8)..of_cells().max().unwrap_or(16).max(16)
}

/// Pale for nobody, dark for all.
fn shade(rate: f64) -> RGBColor {
    let mix = |from: u8, to: u8| (f64::from(from) + (f64::from(to) - f64::from(from)) * rate).round() as u8;
    RGBColor(mix(PALE.0, DARK.0), mix(PALE.1, DARK.1), mix(PALE.2, DARK.2))
}

/// The name, cut where it has more characters than these.
pub(super) fn short(name: &str, chars: usize) -> String {
    if name.chars().count() <= chars {
        return name.to_owned();
    }
    name.chars().take(chars - 1).chain(['…']).collect()
}

/// The area below the title and what it is of.
fn captioned<'p>(area: &Area<'p>, caption: &Caption) -> Drawn<Area<'p>> {
    area.margin(24, 24, 24, 24).titled(&caption.title, ("sans-serif", 22))?.titled(&caption.of, ("sans-serif", 14))
}

fn picture(size: (u32, u32), draw: impl FnOnce(&Area<'_>) -> Drawn) -> Result<String> {
    let mut text = String::new();
    let area = SVGBackend::with_string(&mut text, size).into_drawing_area();
    let drawn = area.fill(&WHITE).and_then(|()| draw(&area)).and_then(|()| area.present());
    drawn.map_err(|error| Error::internal("the picture could not be drawn").with_source(error.to_string()))?;
    drop(area);
    Ok(on_paper(&text, size))
}

/// The picture with its size in millimetres as well, so that it is printed as large as the paper is.
fn on_paper(picture: &str, (width, height): (u32, u32)) -> String {
    let in_px = format!("<svg width=\"{width}\" height=\"{height}\"");
    let mm = |px: u32| f64::from(px) * 25.4 / 96.0;
    picture.replacen(&in_px, &format!("<svg width=\"{:.1}mm\" height=\"{:.1}mm\"", mm(width), mm(height)), 1)
}

//! Pictures as SVG: bars and a heat map. Texts in it are drawn with the viewer's fonts.

use std::ops::Range;

use plotters::{
    coord::Shift,
    drawing::{DrawingArea, DrawingAreaErrorKind},
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};

use super::{By, heatmap::HeatCell, lines::Line};
use crate::error::{Error, Result};

const BAR: RGBColor = RGBColor(0x2b, 0x6c, 0xb0);
const PALE: RGBColor = RGBColor(0xeb, 0xf4, 0xfb);
const DARK: RGBColor = RGBColor(0x0b, 0x3c, 0x6f);
const HEIGHT_PX: u32 = 420;
const MIN_WIDTH_PX: u32 = 900;
/// Of the pictures in which each bar has a name under it.
const NAMED_BAR_PX: u32 = 36;
/// The names that fit under bars without one each.
const NAMES: usize = 10;
/// The longest name under a bar, in Unicode scalar values.
const NAME_CHARS: usize = 16;
/// How the people are sorted by their rates: so many bars.
const STEPS: usize = 10;
const WEEKDAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

type Drawn<T = ()> = Result<T, DrawingAreaErrorKind<std::io::Error>>;
type Area<'p> = DrawingArea<SVGBackend<'p>, Shift>;

/// A picture of a table in the making. It keeps a bar for each session or group, and ten for all the people.
pub struct Chart {
    by: By,
    /// Names and heights.
    bars: Vec<(String, f64)>,
}

impl Chart {
    /// An empty picture.
    pub fn new(by: By) -> Self {
        let step = |step: usize| (format!("{}-{} %", step * 100 / STEPS, (step + 1) * 100 / STEPS), 0.0);
        let bars = if matches!(by, By::Person | By::Matrix) { (0..STEPS).map(step).collect() } else { Vec::new() };
        Self { by, bars }
    }

    /// Adds lines.
    pub fn add(&mut self, lines: &[Line]) {
        for line in lines {
            match line {
                Line::Person(line) => {
                    let Some(rate) = line.figures.rate else { continue };
                    self.bars[((rate * STEPS as f64) as usize).min(STEPS - 1)].1 += 1.0;
                }
                Line::Session(line) => self.rate(line.session.date.to_string(), line.figures.rate),
                Line::Group(line) => self.rate(short(&line.group_name), line.figures.rate),
            }
        }
    }

    /// The picture.
    pub fn finish(self) -> Result<String> {
        let width = match self.by {
            By::Group => MIN_WIDTH_PX.max(NAMED_BAR_PX * self.bars.len() as u32),
            By::Person | By::Matrix | By::Session => MIN_WIDTH_PX,
        };
        picture((width, HEIGHT_PX), |area| self.draw(area))
    }

    fn rate(&mut self, name: String, rate: Option<f64>) {
        self.bars.push((name, rate.unwrap_or(0.0) * 100.0));
    }

    fn draw(&self, area: &Area<'_>) -> Drawn {
        let (title, across, unit) = match self.by {
            By::Person | By::Matrix => ("People by attendance", "attended of counted", "people"),
            By::Session => ("Attendance by session", "session", "attended of counted, %"),
            By::Group => ("Attendance by group", "group", "attended of counted, %"),
        };
        let highest = match self.by {
            By::Person | By::Matrix => self.bars.iter().map(|bar| bar.1).fold(1.0, f64::max) * 1.05,
            By::Session | By::Group => 100.0,
        };
        // The discrete ranges of plotters hold their end, and one of a single number has no width.
        let last = self.bars.len().saturating_sub(1).max(1);
        let names_px = if self.by == By::Group { 140 } else { 40 };
        let mut chart = ChartBuilder::on(area)
            .caption(title, ("sans-serif", 20))
            .margin(12)
            .x_label_area_size(names_px)
            .y_label_area_size(60)
            .build_cartesian_2d((0..last).into_segmented(), 0.0..highest)?;
        let font = ("sans-serif", 12).into_font();
        let upright = font.clone().transform(FontTransform::Rotate90);
        let name = |place: &SegmentValue<usize>| match place {
            SegmentValue::CenterOf(place) => self.bars.get(*place).map(|bar| bar.0.clone()).unwrap_or_default(),
            _ => String::new(),
        };
        let is_group = self.by == By::Group;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .light_line_style(TRANSPARENT)
            .x_labels(if is_group { self.bars.len().max(1) } else { NAMES })
            .x_label_style(if is_group { upright } else { font })
            .x_label_formatter(&name)
            .x_desc(across)
            .y_desc(unit)
            .y_label_formatter(&|height| format!("{height:.0}"))
            .draw()?;
        chart.draw_series(self.bars.iter().enumerate().map(|(place, &(_, height))| {
            let corners = [(SegmentValue::Exact(place), 0.0), (SegmentValue::Exact(place + 1), height)];
            let mut bar = Rectangle::new(corners, BAR.filled());
            bar.set_margin(0, 0, 1, 1);
            bar
        }))?;
        Ok(())
    }
}

/// The picture of a heat map: a row a weekday, a column an hour.
pub fn heatmap(cells: &[HeatCell]) -> Result<String> {
    picture((MIN_WIDTH_PX, HEIGHT_PX), |area| draw_heatmap(cells, area))
}

fn draw_heatmap(cells: &[HeatCell], area: &Area<'_>) -> Drawn {
    let hours = hours(cells);
    let mut chart = ChartBuilder::on(area)
        .caption("Attendance by weekday and hour", ("sans-serif", 20))
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

fn short(name: &str) -> String {
    if name.chars().count() <= NAME_CHARS {
        return name.to_owned();
    }
    name.chars().take(NAME_CHARS - 1).chain(['…']).collect()
}

fn picture(size: (u32, u32), draw: impl FnOnce(&Area<'_>) -> Drawn) -> Result<String> {
    let mut text = String::new();
    let area = SVGBackend::with_string(&mut text, size).into_drawing_area();
    let drawn = area.fill(&WHITE).and_then(|()| draw(&area)).and_then(|()| area.present());
    drawn.map_err(|error| Error::internal("the picture could not be drawn").with_source(error.to_string()))?;
    drop(area);
    Ok(text)
}

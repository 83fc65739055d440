//! The curves as a picture. Lines differ by strokes as well as by colours, for print in grey.

use plotters::{
    coord::{Shift, combinators::LogCoord, types::RangedCoordf64},
    element::DashedPathElement,
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};

use super::{CalibrationParams, CalibrationReport, CurvePoint};
use crate::domain::recognition::calibration::Evidence;

/// Pixels, where the viewer does not scale it.
const SIZE: (u32, u32) = (900, 620);
const LEFT: i32 = 24;
/// Where the plot begins, below the headline and the rows of the thresholds' names.
const PLOT_TOP: u32 = 164;
const FIRST_ROW: i32 = 106;
const ROW_HEIGHT: i32 = 18;
const INK: RGBColor = RGBColor(30, 30, 30);
const GREY: RGBColor = RGBColor(110, 110, 110);
const PALE: RGBColor = RGBColor(222, 222, 222);
const STRANGERS: RGBColor = RGBColor(190, 40, 40);
const MISSED: RGBColor = RGBColor(20, 60, 140);

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, LogCoord<f64>>>;
type Drawn = Result<(), DrawingAreaErrorKind<std::io::Error>>;

/// Draws the report. What is drawn into a text cannot fail but by a fault of ours.
pub(super) fn draw(report: &CalibrationReport) -> Result<String, DrawingAreaErrorKind<std::io::Error>> {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        area.fill(&WHITE)?;
        headline(&area, report)?;
        let floor = floor(report);
        let mut chart = axes(&area, floor)?;
        curves(&mut chart, report, floor)?;
        thresholds(&area, &chart, report, floor)?;
        area.present()?;
    }
    Ok(svg)
}

fn headline(area: &Area<'_>, report: &CalibrationReport) -> Drawn {
    write(area, "Who is mixed up and who is missed, by threshold", 20, INK, (LEFT, 22))?;
    let counts = format!(
        "{} people with {} samples: {} pairs of different people, {} of one person",
        grouped(report.people as u64),
        grouped(report.samples as u64),
        grouped(report.impostor.compared),
        grouped(report.genuine.compared),
    );
    write(area, &counts, 14, GREY, (LEFT, 46))?;
    let keys = [
        (LEFT, STRANGERS, "different people that match (FMR)", report.impostor.compared),
        (LEFT + 400, MISSED, "one person\u{2019}s samples that do not (FNMR)", report.genuine.compared),
    ];
    for (x, colour, name, pairs) in keys {
        let line = [(x, 74), (x + 44, 74)];
        if colour == STRANGERS {
            area.draw(&PathElement::new(line, colour.stroke_width(3)))?;
        } else {
            area.draw(&DashedPathElement::new(line, 9, 5, colour.stroke_width(3)))?;
        }
        let name = if pairs == 0 { format!("{name}: unknown, no such pairs") } else { name.to_owned() };
        write(area, &name, 14, INK, (x + 54, 74))?;
    }
    Ok(())
}

/// The lowest rate shown: the decade below what one pair is.
fn floor(report: &CalibrationReport) -> f64 {
    let pairs = report.impostor.compared.max(report.genuine.compared).max(100);
    10_f64.powi(-((pairs as f64).log10().floor() as i32 + 1))
}

fn axes<'a, 'b>(area: &Area<'b>, floor: f64) -> Result<Chart<'a, 'b>, DrawingAreaErrorKind<std::io::Error>> {
    let (_, plot) = area.split_vertically(PLOT_TOP);
    let mut chart = ChartBuilder::on(&plot)
        .margin_left(16)
        .margin_right(30)
        .margin_bottom(14)
        .x_label_area_size(48)
        .y_label_area_size(120)
        .build_cartesian_2d(0.0..1.0, (floor..1.0).log_scale())?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(PALE)
        .axis_style(GREY)
        .x_labels(11)
        .y_labels(12)
        .x_label_formatter(&|threshold| format!("{threshold:.1}"))
        .y_label_formatter(&|rate| one_in(*rate))
        .label_style(style(13, INK))
        .axis_desc_style(style(14, INK))
        .x_desc("threshold (raw cosine)")
        .y_desc("share of the pairs")
        .draw()?;
    Ok(chart)
}

fn curves(chart: &mut Chart<'_, '_>, report: &CalibrationReport, floor: f64) -> Drawn {
    if report.impostor.compared > 0 {
        let seen = 3.0 / report.impostor.compared as f64;
        if seen < 1.0 {
            chart.draw_series(DashedLineSeries::new([(0.0, seen), (1.0, seen)], 2, 4, GREY.stroke_width(1)))?;
            let name = format!("{} pairs can show no lower FMR", grouped(report.impostor.compared));
            chart.draw_series(std::iter::once(Text::new(
                name,
                (0.99, seen * 1.12),
                style(12, GREY).pos(Pos::new(HPos::Right, VPos::Bottom)),
            )))?;
        }
    }
    // Where a rate is zero its line ends on the floor.
    let points = |rate: fn(&CurvePoint) -> Option<f64>| -> Vec<(f64, f64)> {
        let rates: Vec<(f64, f64)> =
            report.curve.iter().filter_map(|point| Some((point.threshold, rate(point)?))).collect();
        let is_shown = |at: usize| {
            let around = at.saturating_sub(1)..rates.len().min(at + 2);
            rates[around].iter().any(|&(_, rate)| rate > 0.0)
        };
        (0..rates.len()).filter(|&at| is_shown(at)).map(|at| (rates[at].0, rates[at].1.max(floor))).collect()
    };
    chart.draw_series(LineSeries::new(points(|point| point.fmr), STRANGERS.stroke_width(3)))?;
    chart.draw_series(DashedLineSeries::new(points(|point| point.fnmr), 9, 5, MISSED.stroke_width(3)))?;
    Ok(())
}

/// Upright lines from the axis to their names. The lower a threshold, the higher stands its name, so that no line
/// crosses the name of another.
fn thresholds(area: &Area<'_>, chart: &Chart<'_, '_>, report: &CalibrationReport, floor: f64) -> Drawn {
    let mut lines = vec![
        (report.roster.threshold, "now, within a roster".to_owned(), false),
        (report.gallery.threshold, "now, in the whole gallery".to_owned(), false),
    ];
    if let Some(recommended) = &report.recommended {
        let CalibrationParams { roster, faces, .. } = report.wanted;
        let name = match recommended.evidence {
            Evidence::Shown => format!("recommended: {roster} people, {faces} strangers"),
            Evidence::TooFewPairs => "no pair of different people matches, too few".to_owned(),
        };
        lines.push((recommended.rates.threshold, name, true));
    }
    lines.sort_by(|a, b| a.0.total_cmp(&b.0));
    for (row, (threshold, name, is_recommended)) in lines.into_iter().enumerate() {
        let (x, bottom) = chart.backend_coord(&(threshold.clamp(0.0, 1.0), floor));
        let y = FIRST_ROW + row as i32 * ROW_HEIGHT;
        let line = [(x, bottom), (x, y - 6)];
        if is_recommended {
            area.draw(&PathElement::new(line, INK.stroke_width(2)))?;
        } else {
            area.draw(&DashedPathElement::new(line, 4, 3, INK.stroke_width(1)))?;
        }
        let name = format!("{threshold:.3} {name}");
        // Where there is no room to the right it stands to the left.
        let (at, side) = if threshold > 0.55 { (x - 6, HPos::Right) } else { (x + 6, HPos::Left) };
        area.draw_text(&name, &style(13, INK).pos(Pos::new(side, VPos::Center)), (at, y))?;
    }
    Ok(())
}

fn write(area: &Area<'_>, text: &str, size: u32, colour: RGBColor, at: (i32, i32)) -> Drawn {
    area.draw_text(text, &style(size, colour).pos(Pos::new(HPos::Left, VPos::Center)), at)
}

fn style(size: u32, colour: RGBColor) -> TextStyle<'static> {
    ("sans-serif", size).into_font().color(&colour)
}

/// A share as people say it.
fn one_in(share: f64) -> String {
    if share >= 1.0 { "all".into() } else { format!("1 in {}", grouped((1.0 / share).round() as u64)) }
}

/// A number with its thousands apart.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().map(|group| std::str::from_utf8(group).unwrap_or_default()).collect();
    groups.join("\u{202f}")
}

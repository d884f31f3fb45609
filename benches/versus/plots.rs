//! The plots of the page, as SVG text.
//!
//! Owns axes, colours and legends. What is drawn comes as names and points; nothing is measured
//! or judged here.

use plotters::coord::CoordTranslate;
use plotters::prelude::*;

use crate::rig::failure::{Doing, Failure};

const SIZE: (u32, u32) = (720, 420);
const FONT: &str = "sans-serif";
/// Eight colours that stay apart for most colour-blind readers (Okabe and Ito).
const COLOURS: [RGBColor; 8] = [
    RGBColor(213, 94, 0),
    RGBColor(0, 114, 178),
    RGBColor(86, 180, 233),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(0, 0, 0),
    RGBColor(230, 159, 0),
    RGBColor(150, 150, 150),
];

/// One contestant's points.
pub(crate) struct Line {
    pub(crate) name: String,
    pub(crate) points: Vec<(f64, f64)>,
}

/// Latency in microseconds over the percentile, on a scale of nines.
pub(crate) fn distribution(title: &str, lines: &[Line]) -> Result<String, Failure> {
    /// The last point, 100 %, is drawn at this many times the rarity of one request.
    const RAREST: f64 = 100_000.0;
    let nines: Vec<Line> = lines
        .iter()
        .map(|line| Line {
            name: line.name.clone(),
            points: line
                .points
                .iter()
                .map(|&(percent, us)| ((100.0 / (100.0 - percent)).min(RAREST), us))
                .collect(),
        })
        .collect();
    let percent = |rarity: &f64| match 100.0 - 100.0 / rarity {
        percent if *rarity >= RAREST || percent > 99.9985 => "max".to_string(),
        percent => format!("p{}", (percent * 1000.0).round() / 1000.0),
    };
    draw(title, ("percentile", &percent), "microseconds", &nines, SeriesLabelPosition::LowerRight)
}

/// Operations a second over a factor, both logarithmic.
pub(crate) fn throughput(title: &str, factor: &str, lines: &[Line]) -> Result<String, Failure> {
    draw(title, (factor, &short), "operations a second", lines, SeriesLabelPosition::UpperLeft)
}

/// Server CPU per operation as a multiple of the floor's: a row a cell, a dot a contestant.
/// A line's points are the multiple and the number of the row.
pub(crate) fn rows(title: &str, labels: &[String], lines: &[Line]) -> Result<String, Failure> {
    /// Empty rows at the top, for the legend.
    const LEGEND_ROWS: usize = 6;
    let count = labels.len() + LEGEND_ROWS;
    let height = 90 + 20 * u32::try_from(count).unwrap_or(100);
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (SIZE.0, height)).into_drawing_area();
        let (low, high) = range(lines, |point| point.0);
        let label = |row: &f64| {
            let at = labels.iter().enumerate().find(|(at, _)| (*at as f64 - row).abs() < 0.01);
            at.map_or_else(String::new, |(_, label)| label.clone())
        };
        area.fill(&WHITE).doing(|| title.into())?;
        let mut chart = ChartBuilder::on(&area)
            .caption(title, (FONT, 16))
            .margin(10)
            .x_label_area_size(40)
            .y_label_area_size(190)
            .build_cartesian_2d((low..high).log_scale(), -0.5..count as f64 - 0.5)
            .doing(|| title.into())?;
        chart
            .configure_mesh()
            .x_desc("times the floor")
            .x_label_formatter(&short)
            .y_labels(count * 2 + 1)
            .y_label_formatter(&label)
            .light_line_style(TRANSPARENT)
            .label_style((FONT, 11))
            .draw()
            .doing(|| title.into())?;
        for (line, colour) in lines.iter().zip(COLOURS.iter().cycle()) {
            let dots = line.points.iter().map(|&point| Circle::new(point, 4, colour.filled()));
            chart
                .draw_series(dots)
                .doing(|| title.into())?
                .label(line.name.as_str())
                .legend(|(x, y)| Circle::new((x + 9, y), 4, colour.filled()));
        }
        draw_legend(&mut chart, SeriesLabelPosition::UpperLeft)?;
        area.present().doing(|| title.into())?;
    }
    Ok(svg)
}

fn draw(
    title: &str,
    (x_name, x_label): (&str, &dyn Fn(&f64) -> String),
    y_name: &str,
    lines: &[Line],
    legend: SeriesLabelPosition,
) -> Result<String, Failure> {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        let (left, right) = range(lines, |point| point.0);
        let (low, high) = range(lines, |point| point.1);
        area.fill(&WHITE).doing(|| title.into())?;
        let mut chart = ChartBuilder::on(&area)
            .caption(title, (FONT, 16))
            .margin(10)
            .x_label_area_size(40)
            .y_label_area_size(75)
            .build_cartesian_2d((left..right).log_scale(), (low..high).log_scale())
            .doing(|| title.into())?;
        chart
            .configure_mesh()
            .x_desc(x_name)
            .y_desc(y_name)
            .x_label_formatter(&x_label)
            .y_label_formatter(&short)
            .label_style((FONT, 11))
            .draw()
            .doing(|| title.into())?;
        for (line, colour) in lines.iter().zip(COLOURS.iter().cycle()) {
            let style = colour.stroke_width(2);
            chart
                .draw_series(LineSeries::new(line.points.iter().copied(), style).point_size(2))
                .doing(|| title.into())?
                .label(line.name.as_str())
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], style));
        }
        draw_legend(&mut chart, legend)?;
        area.present().doing(|| title.into())?;
    }
    Ok(svg)
}

fn draw_legend<'a, C: CoordTranslate>(
    chart: &mut ChartContext<'a, SVGBackend<'a>, C>,
    position: SeriesLabelPosition,
) -> Result<(), Failure> {
    chart
        .configure_series_labels()
        .position(position)
        .background_style(WHITE.mix(0.85))
        .border_style(BLACK.mix(0.3))
        .label_font((FONT, 11))
        .draw()
        .doing(|| "drawing a legend".into())
}

/// Room around the points, for logarithmic axes.
fn range(lines: &[Line], of: impl Fn(&(f64, f64)) -> f64) -> (f64, f64) {
    let values = || lines.iter().flat_map(|line| &line.points).map(&of);
    let low = values().fold(f64::INFINITY, f64::min);
    let high = values().fold(0.0, f64::max);
    if low.is_finite() { (low.max(0.01) / 1.2, high.max(0.02) * 1.2) } else { (1.0, 10.0) }
}

fn short(figure: &f64) -> String {
    match *figure {
        figure if figure >= 1e6 => format!("{} M", figure / 1e6),
        figure if figure >= 1e4 => format!("{} k", figure / 1e3),
        figure => format!("{}", (figure * 1000.0).round() / 1000.0),
    }
}

//! Charts as SVG for a page. Text and axes are black here; the page's style gives them its own colour.

use std::io;

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::number::short;

pub(super) type DrawingError = DrawingAreaErrorKind<io::Error>;

/// Of the reference and the candidate.
pub(super) const COLOURS: [RGBColor; 2] = [RGBColor(0x2f, 0x7e, 0xc4), RGBColor(0xe0, 0x79, 0x1f)];

/// In pixels, which a browser shrinks to a narrow screen.
const SIZE: (u32, u32) = (400, 250);
const LABELS: (&str, u32) = ("sans-serif", 16);
/// The width of a character of a label, and of the space between labels, in pixels.
const CHARACTER: usize = 8;
/// The bars of a group take this share of its width.
const FILLED: f64 = 0.8;
/// The space for the labels of the axes.
const BELOW: u32 = 42;
const LEFT: u32 = 62;

/// Groups of bars next to each other.
pub(super) struct Bars<'a> {
    /// Of the groups.
    pub(super) labels: &'a [String],
    /// A group whose label is never left out.
    pub(super) labelled: usize,
    /// A bar of each group in that colour; those that are not finite are left out.
    pub(super) series: &'a [(&'a [f64], RGBColor)],
    pub(super) x_title: &'a str,
    pub(super) y_title: &'a str,
}

impl Bars<'_> {
    /// Draws counts, on a logarithmic scale.
    pub(super) fn counts(&self) -> Result<String, DrawingError> {
        let most = self.values().fold(1.0, f64::max);
        // A single element has a bar of a visible height.
        let range = (0.5_f64.log10(), most.log10() + 0.15);
        let power = |y: f64| {
            let is_whole = (y - y.round()).abs() < 1e-9;
            if is_whole { short(10_f64.powf(y.round())) } else { String::new() }
        };
        self.draw(range, range.0, f64::log10, &power)
    }

    /// Draws numbers from zero, up or down.
    pub(super) fn numbers(&self) -> Result<String, DrawingError> {
        let largest = self.values().map(f64::abs).fold(0.0, f64::max);
        // A range that is not very large or small.
        let unit = if (1e-30..1e30).contains(&largest) || largest == 0.0 { 1.0 } else { largest };
        let low = self.values().map(|x| x / unit).fold(0.0, f64::min);
        let high = self.values().map(|x| x / unit).fold(0.0, f64::max);
        let margin = if low == high { 1.0 } else { 0.05 * (high - low) };
        let range = (if low < 0.0 { low - margin } else { 0.0 }, high + margin);
        self.draw(range, 0.0, |x| x / unit, &|y| short(y * unit))
    }

    /// The numbers that have a bar.
    fn values(&self) -> impl Iterator<Item = f64> {
        self.series.iter().flat_map(|(values, _)| values.iter().copied()).filter(|x| x.is_finite())
    }

    fn draw(
        &self,
        (low, high): (f64, f64),
        base: f64,
        place: impl Fn(f64) -> f64,
        label: &dyn Fn(f64) -> String,
    ) -> Result<String, DrawingError> {
        let mut picture = String::new();
        {
            let area = SVGBackend::with_string(&mut picture, SIZE).into_drawing_area();
            let groups = self.labels.len();
            let mut chart = ChartBuilder::on(&area)
                .margin(6)
                .x_label_area_size(BELOW)
                .y_label_area_size(LEFT)
                .build_cartesian_2d(-0.5..groups as f64 - 0.5, low..high)?;
            chart
                .configure_mesh()
                .disable_x_mesh()
                .x_labels(0)
                .y_labels(6)
                .label_style(LABELS)
                .axis_desc_style(LABELS)
                .x_desc(self.x_title)
                .y_desc(self.y_title)
                .y_label_formatter(&|y| label(*y))
                .bold_line_style(BLACK.mix(0.15))
                .light_line_style(TRANSPARENT)
                .draw()?;
            let width = FILLED / self.series.len() as f64;
            for (nth, (values, colour)) in self.series.iter().enumerate() {
                let bars = values.iter().enumerate().filter(|(_, x)| place(**x).is_finite());
                chart.draw_series(bars.map(|(group, x)| {
                    let left = group as f64 - FILLED / 2.0 + nth as f64 * width;
                    Rectangle::new([(left, base), (left + width, place(*x))], colour.filled())
                }))?;
            }
            let style = LABELS.into_font().color(&BLACK).pos(Pos::new(HPos::Center, VPos::Top));
            let longest = self.labels.iter().map(|label| label.chars().count()).max();
            let width = CHARACTER * (longest.unwrap_or(0) + 1);
            let step = (groups * width).div_ceil((SIZE.0 - LEFT) as usize).max(1);
            for (group, text) in self.labels.iter().enumerate() {
                if group % step == self.labelled % step {
                    let (x, y) = chart.backend_coord(&(group as f64, low));
                    area.draw(&Text::new(text.as_str(), (x, y + 5), style.clone()))?;
                }
            }
            area.present()?;
        }
        Ok(picture)
    }
}

/// Draws the share of right rows over their mean confidence, for each side, and where both are equal.
pub(super) fn reliability(sides: &[Vec<(f64, f64)>; 2]) -> Result<String, DrawingError> {
    let mut picture = String::new();
    {
        let area = SVGBackend::with_string(&mut picture, (SIZE.0, SIZE.0)).into_drawing_area();
        let mut chart = ChartBuilder::on(&area)
            .margin(10)
            .x_label_area_size(BELOW)
            .y_label_area_size(LEFT)
            .build_cartesian_2d(0.0..1.0, 0.0..1.0)?;
        chart
            .configure_mesh()
            .x_labels(6)
            .y_labels(6)
            .label_style(LABELS)
            .axis_desc_style(LABELS)
            .x_desc("mean of the largest probability")
            .y_desc("share of right rows")
            .x_label_formatter(&|x| short(*x))
            .y_label_formatter(&|y| short(*y))
            .bold_line_style(BLACK.mix(0.15))
            .light_line_style(TRANSPARENT)
            .draw()?;
        chart.draw_series(LineSeries::new([(0.0, 0.0), (1.0, 1.0)], BLACK.mix(0.4)))?;
        for (points, colour) in sides.iter().zip(COLOURS) {
            chart.draw_series(LineSeries::new(points.iter().copied(), colour.stroke_width(2)))?;
            chart.draw_series(points.iter().map(|at| Circle::new(*at, 4, colour.filled())))?;
        }
        area.present()?;
    }
    Ok(picture)
}

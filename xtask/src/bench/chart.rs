//! Both sides as a picture.

use std::error::Error;
use std::path::Path;

use plotters::prelude::*;

use super::peers::{Comparison, PEERS};

const XENT: RGBColor = RGBColor(20, 90, 200);
const OF_PEERS: [RGBColor; PEERS.len()] =
    [RGBColor(220, 110, 60), RGBColor(240, 170, 90), RGBColor(110, 170, 110)];

/// Writes bars for each case, on a logarithmic scale, with the copy as a line across them.
pub(crate) fn draw(path: &Path, comparisons: &[Comparison]) -> Result<(), Box<dyn Error>> {
    let all =
        comparisons.iter().flat_map(|c| [Some(c.copy), Some(c.xent)].into_iter().chain(c.peers));
    let (low, high) = all
        .flatten()
        .fold((f64::INFINITY, 0.0_f64), |(low, high), value| (low.min(value), high.max(value)));
    // Room above the bars for the names.
    let (low, high) = (low / 2.0, high * 12.0);
    let groups = comparisons.len() as f64;

    let area = SVGBackend::new(path, (1100, 420)).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .margin(14)
        .x_label_area_size(48)
        .y_label_area_size(64)
        .build_cartesian_2d(0.0..groups, (low..high).log_scale())?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .x_labels(0)
        .y_desc("ns an element, one bar after the other: less is better")
        .y_label_formatter(&|value| format!("{value}"))
        .light_line_style(WHITE)
        .draw()?;

    let names = std::iter::once("xent").chain(PEERS.iter().map(|peer| peer.name));
    let colors = std::iter::once(XENT).chain(OF_PEERS);
    let width = 0.8 / (PEERS.len() + 1) as f64;
    for (place, (name, color)) in names.zip(colors).enumerate() {
        let bars = comparisons.iter().enumerate().filter_map(|(group, comparison)| {
            let value = match place {
                0 => Some(comparison.xent),
                _ => comparison.peers[place - 1],
            }?;
            let left = group as f64 + 0.1 + place as f64 * width;
            Some(Rectangle::new([(left, low), (left + 0.9 * width, value)], color.filled()))
        });
        chart
            .draw_series(bars)?
            .label(name)
            .legend(move |(x, y)| Rectangle::new([(x, y - 5), (x + 14, y + 5)], color.filled()));
    }
    let copies = comparisons.iter().enumerate().map(|(group, comparison)| {
        let (left, right) = (group as f64 + 0.05, group as f64 + 0.95);
        PathElement::new([(left, comparison.copy), (right, comparison.copy)], BLACK.stroke_width(2))
    });
    chart
        .draw_series(copies)?
        .label("a copy")
        .legend(|(x, y)| PathElement::new([(x, y), (x + 14, y)], BLACK.stroke_width(2)));
    chart
        .configure_series_labels()
        .background_style(WHITE)
        .border_style(BLACK.mix(0.3))
        .position(SeriesLabelPosition::UpperRight)
        .draw()?;

    for (group, comparison) in comparisons.iter().enumerate() {
        let (x, y) = chart.backend_coord(&(group as f64 + 0.5, low));
        let loss = comparison.case.split('/').next().unwrap_or_default();
        for (line, text) in [(10, loss.to_owned()), (28, comparison.size.replace('x', " × "))] {
            let anchor = plotters::style::text_anchor::Pos::new(
                plotters::style::text_anchor::HPos::Center,
                plotters::style::text_anchor::VPos::Top,
            );
            let style = ("sans-serif", 13).into_font().color(&BLACK).pos(anchor);
            area.draw(&Text::new(text, (x, y + line), style))?;
        }
    }
    area.present()?;
    Ok(())
}

//! A chart of xent and the peers.

use std::error::Error;
use std::path::Path;

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::peers::{Comparison, PEERS};

const XENT: RGBColor = RGBColor(20, 90, 200);
const OF_PEERS: [RGBColor; PEERS.len()] =
    [RGBColor(220, 110, 60), RGBColor(240, 170, 90), RGBColor(110, 170, 110)];

const WIDTH: u32 = 1100;
/// Height of the bars' names.
const LEGEND: u32 = 44;
/// Height of a case's bars.
const PANEL: u32 = 250;
/// Panels side by side.
const COLUMNS: usize = 2;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Writes a panel for each case, with bars for each shape on a logarithmic scale that all panels
/// share, and the copy as a line across them.
pub(crate) fn draw(path: &Path, comparisons: &[Comparison]) -> Result<(), Box<dyn Error>> {
    let all =
        comparisons.iter().flat_map(|c| [Some(c.copy), Some(c.xent)].into_iter().chain(c.peers));
    let (low, high) = all
        .flatten()
        .fold((f64::INFINITY, 0.0_f64), |(low, high), value| (low.min(value), high.max(value)));
    let scale = (low / 2.0, high * 1.5);

    let panels: Vec<&[Comparison]> = by_case(comparisons);
    let rows = panels.len().div_ceil(COLUMNS);
    let height = LEGEND + PANEL * rows as u32;
    let area = SVGBackend::new(path, (WIDTH, height)).into_drawing_area();
    area.fill(&WHITE)?;
    let (legend, below) = area.split_vertically(LEGEND);
    draw_legend(&legend)?;
    for (area, comparisons) in below.split_evenly((rows, COLUMNS)).iter().zip(panels) {
        draw_panel(area, comparisons, scale)?;
    }
    area.present()?;
    Ok(())
}

/// Groups neighbours of the same case.
fn by_case(comparisons: &[Comparison]) -> Vec<&[Comparison]> {
    comparisons.chunk_by(|a, b| a.case == b.case).collect()
}

fn names() -> impl Iterator<Item = (&'static str, RGBColor)> {
    let names = std::iter::once("xent").chain(PEERS.iter().map(|peer| peer.name));
    names.zip(std::iter::once(XENT).chain(OF_PEERS))
}

fn draw_legend(area: &Area<'_>) -> Result<(), Box<dyn Error>> {
    const STEP: i32 = 130;
    let style =
        ("sans-serif", 17).into_font().color(&BLACK).pos(Pos::new(HPos::Left, VPos::Center));
    let middle = LEGEND as i32 / 2;
    let entry = |place: usize| 24 + place as i32 * STEP;
    for (place, (name, color)) in names().enumerate() {
        let x = entry(place);
        area.draw(&Rectangle::new([(x, middle - 6), (x + 14, middle + 6)], color.filled()))?;
        area.draw(&Text::new(name, (x + 20, middle), style.clone()))?;
    }
    let x = entry(PEERS.len() + 1);
    area.draw(&PathElement::new([(x, middle), (x + 14, middle)], BLACK.stroke_width(2)))?;
    area.draw(&Text::new("a copy", (x + 20, middle), style.clone()))?;
    let text = "loss and gradient, ns an element: less is better";
    area.draw(&Text::new(text, (entry(PEERS.len() + 2), middle), style))?;
    Ok(())
}

fn draw_panel(
    area: &Area<'_>,
    comparisons: &[Comparison],
    (low, high): (f64, f64),
) -> Result<(), Box<dyn Error>> {
    let case = comparisons.first().map_or("", |comparison| comparison.case);
    let mut chart = ChartBuilder::on(area)
        .margin(8)
        .caption(case, ("sans-serif", 19))
        .x_label_area_size(40)
        .y_label_area_size(52)
        .build_cartesian_2d(0.0..comparisons.len() as f64, (low..high).log_scale())?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .x_labels(0)
        .label_style(("sans-serif", 14))
        .y_label_formatter(&|value| format!("{value}"))
        .light_line_style(WHITE)
        .draw()?;

    let width = 0.8 / (PEERS.len() + 1) as f64;
    for (place, (_, color)) in names().enumerate() {
        let bars = comparisons.iter().enumerate().filter_map(|(group, comparison)| {
            let value = match place {
                0 => Some(comparison.xent),
                _ => comparison.peers[place - 1],
            }?;
            let left = group as f64 + 0.1 + place as f64 * width;
            Some(Rectangle::new([(left, low), (left + 0.9 * width, value)], color.filled()))
        });
        chart.draw_series(bars)?;
    }
    let copies = comparisons.iter().enumerate().map(|(group, comparison)| {
        let (left, right) = (group as f64 + 0.05, group as f64 + 0.95);
        PathElement::new([(left, comparison.copy), (right, comparison.copy)], BLACK.stroke_width(2))
    });
    chart.draw_series(copies)?;

    let style = ("sans-serif", 13).into_font().color(&BLACK).pos(Pos::new(HPos::Center, VPos::Top));
    let (left, top) = area.get_base_pixel();
    for (group, comparison) in comparisons.iter().enumerate() {
        let (x, y) = chart.backend_coord(&(group as f64 + 0.5, low));
        let (rows, classes) = comparison.size.split_once('x').unwrap_or((&comparison.size, ""));
        for (line, text) in [(6, rows.to_owned()), (20, format!("× {classes}"))] {
            area.draw(&Text::new(text, (x - left, y - top + line), style.clone()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panel_has_the_shapes_of_one_case() {
        let of = |case, size: &str| Comparison {
            case,
            size: size.into(),
            copy: 0.1,
            xent: 0.2,
            peers: [Some(1.0), None, Some(20.0)],
        };
        let comparisons = [
            of("softmax/dense", "64x10"),
            of("softmax/dense", "64x1000"),
            of("sigmoid/focal", "64x80"),
        ];
        let sizes: Vec<usize> = by_case(&comparisons).iter().map(|panel| panel.len()).collect();
        assert_eq!(sizes, [2, 1]);

        let name = format!("xent-chart-{}.svg", std::process::id());
        let path = std::env::temp_dir().join(name);
        draw(&path, &comparisons).expect("a picture");
        let picture = std::fs::read_to_string(&path).expect("what was drawn");
        std::fs::remove_file(&path).expect("what was drawn");
        for text in ["softmax/dense", "sigmoid/focal", "× 1000", "torch.compile", "a copy"] {
            assert!(picture.contains(text), "{text} is not in the picture");
        }
    }
}

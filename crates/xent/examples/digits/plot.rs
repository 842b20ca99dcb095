//! The learning curves as a picture.

use std::error::Error;
use std::path::PathBuf;

use plotters::prelude::*;

use crate::Curve;

/// Draws loss and held-out accuracy of each model: where the picture is.
pub(crate) fn curves(curves: &[&Curve]) -> Result<PathBuf, Box<dyn Error>> {
    let folder = std::env::var_os("CARGO_TARGET_DIR").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../target")),
        PathBuf::from,
    );
    std::fs::create_dir_all(&folder)?;
    let path = folder.canonicalize()?.join("digits.svg");
    {
        let area = SVGBackend::new(&path, (900, 380)).into_drawing_area();
        area.fill(&WHITE)?;
        let (left, right) = area.split_horizontally(450);
        draw(&left, "training loss", curves, 0.0..1.0, |curve| &curve.loss)?;
        draw(&right, "held-out accuracy", curves, 0.8..1.0, |curve| &curve.accuracy)?;
        area.present()?;
    }
    Ok(path)
}

fn draw(
    area: &DrawingArea<SVGBackend<'_>, plotters::coord::Shift>,
    title: &str,
    curves: &[&Curve],
    range: std::ops::Range<f64>,
    values: fn(&Curve) -> &[f64],
) -> Result<(), Box<dyn Error>> {
    let epochs = curves.iter().map(|curve| values(curve).len()).max().unwrap_or(1);
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(34)
        .y_label_area_size(44)
        .build_cartesian_2d(1.0..epochs as f64, range.clone())?;
    chart.configure_mesh().x_desc("epoch").light_line_style(WHITE).draw()?;
    for (curve, color) in curves.iter().zip([BLUE, RED]) {
        let inside = |value: f64| value.clamp(range.start, range.end);
        let points = values(curve).iter().zip(1..).map(|(&y, x)| (f64::from(x), inside(y)));
        chart
            .draw_series(LineSeries::new(points, color.stroke_width(2)))?
            .label(curve.name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], color.stroke_width(2)));
    }
    chart
        .configure_series_labels()
        .background_style(WHITE)
        .border_style(BLACK.mix(0.3))
        .position(SeriesLabelPosition::MiddleRight)
        .draw()?;
    Ok(())
}

//! The learning curve as a picture.

use std::error::Error;
use std::path::PathBuf;

use plotters::prelude::*;

use crate::Curve;

/// Draws the perplexity over the seconds: where the picture is.
pub(crate) fn curve(curve: &Curve) -> Result<PathBuf, Box<dyn Error>> {
    let folder = std::env::var_os("CARGO_TARGET_DIR").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../target")),
        PathBuf::from,
    );
    std::fs::create_dir_all(&folder)?;
    let path = folder.canonicalize()?.join("words.svg");
    {
        let area = SVGBackend::new(&path, (600, 380)).into_drawing_area();
        area.fill(&WHITE)?;
        let seconds = curve.seconds.last().copied().unwrap_or(1.0);
        let losses = || curve.training.iter().chain(&curve.held_out).map(|loss| loss.exp());
        let (least, most) = (losses().fold(f64::INFINITY, f64::min), losses().fold(1.0, f64::max));
        let mut chart = ChartBuilder::on(&area)
            .caption("perplexity of the next token", ("sans-serif", 18))
            .margin(12)
            .x_label_area_size(34)
            .y_label_area_size(54)
            .build_cartesian_2d(0.0..seconds, (0.8 * least..1.1 * most).log_scale())?;
        chart.configure_mesh().x_desc("seconds").light_line_style(WHITE).draw()?;
        for (name, values, color) in
            [("training", &curve.training, BLUE), ("held out", &curve.held_out, RED)]
        {
            let points = curve.seconds.iter().zip(values).map(|(&x, loss)| (x, loss.exp()));
            chart.draw_series(LineSeries::new(points, color.stroke_width(2)))?.label(name).legend(
                move |(x, y)| PathElement::new([(x, y), (x + 16, y)], color.stroke_width(2)),
            );
        }
        chart
            .configure_series_labels()
            .background_style(WHITE)
            .border_style(BLACK.mix(0.3))
            .position(SeriesLabelPosition::UpperRight)
            .draw()?;
        area.present()?;
    }
    Ok(path)
}

//! JSON lines: an array a line, or an object with one.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::lines::Lines;
use super::numbers::{Numbers, shown, split_type};
use super::window::Window;
use super::{Header, list};

/// Reads the arrays, of objects those of the key that follows the name of the file. A number is a row of one.
pub(super) fn read(source: &mut Window, member: Option<&str>) -> Result<(Window, Header), String> {
    let (key, element) = split_type(member)?;
    let mut lines = Lines::new(source);
    let mut numbers = Numbers::new(element).map_err(|error| error.to_string())?;
    // The number of the first line, and how many numbers it has.
    let mut first = None;
    let mut rows = 0;
    while let Some(line) = lines.next()? {
        let found = row(line, key, &mut numbers).map_err(|reason| lines.wrong(reason))?;
        let (begin, expected) = *first.get_or_insert((lines.number, found));
        if found != expected {
            return Err(
                lines.wrong(format!("{found} numbers: expected {expected}, as in line {begin}"))
            );
        }
        rows += 1;
    }
    let (_, columns) = first.ok_or("it has no rows of numbers")?;
    numbers.finish_lines(rows, columns)
}

/// Takes the numbers of one line, and counts them.
fn row(line: &[u8], key: Option<&str>, numbers: &mut Numbers) -> Result<usize, String> {
    let whole: &RawValue = parsed(line)?;
    let text = match key {
        None if whole.get().starts_with('{') => {
            let keys = object(whole)?.into_keys().collect();
            return Err(format!(
                "expected a key of the objects, as in file.jsonl:key: {}",
                list(keys)
            ));
        }
        None => whole,
        Some(_) if !whole.get().starts_with('{') => {
            return Err(format!("expected an object, found {}", shown(whole.get())));
        }
        Some(key) => {
            let mut values = object(whole)?;
            let value = values.remove(key);
            value.ok_or_else(|| {
                format!("no key {}: {}", shown(key), list(values.into_keys().collect()))
            })?
        }
    };
    if !text.get().starts_with('[') {
        numbers.push(text.get())?;
        return Ok(1);
    }
    let row: Vec<&RawValue> = parsed(text.get().as_bytes())?;
    for (place, number) in row.iter().enumerate() {
        numbers.push(number.get()).map_err(|reason| format!("element {}: {reason}", place + 1))?;
    }
    Ok(row.len())
}

fn object(text: &RawValue) -> Result<BTreeMap<String, &RawValue>, String> {
    parsed(text.get().as_bytes())
}

fn parsed<'a, T: serde::Deserialize<'a>>(text: &'a [u8]) -> Result<T, String> {
    serde_json::from_slice(text).map_err(|error| {
        let has = |name: &[u8]| text.windows(name.len()).any(|part| part == name);
        let hint = if has(b"NaN") || has(b"Infinity") {
            ": JSON has no NaN and no Infinity; save the array with numpy.save"
        } else {
            ""
        };
        // The crate counts the lines of this text.
        let reason = error.to_string().replace(" at line 1 column ", " at character ");
        format!("no JSON, {reason}{hint}")
    })
}

//! Tables of numbers as text, a row a line.

use std::ops::Range;

use csv_core::{ReadRecordResult, Reader, ReaderBuilder, Terminator};

use super::lines::Lines;
use super::numbers::{Numbers, shown, split_type};
use super::window::Window;
use super::{Header, list};

/// Numbers in a row count columns, rather than being data, if there are at least this many.
const COUNTED: usize = 3;

/// The columns that are read.
enum Columns<'a> {
    All,
    Named(&'a str),
    /// Counted from 1.
    Numbered {
        first: usize,
        last: usize,
    },
}

impl<'a> Columns<'a> {
    fn parse(text: &'a str) -> Result<Self, String> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let number = |text: &str| {
            let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            text.parse().ok().filter(|_| digits)
        };
        let (Some(first), Some(last)) = (number(first), number(last)) else {
            return Ok(Self::Named(text));
        };
        if first == 0 || last < first {
            return Err(format!(
                "columns {text}: expected numbers from 1, the smaller one first, as in file.csv:2-11"
            ));
        }
        Ok(Self::Numbered { first, last })
    }
}

/// The fields of a line.
struct Fields {
    reader: Reader,
    separator: u8,
    text: Vec<u8>,
    ends: Vec<usize>,
    /// Where the fields are in the text.
    places: Vec<Range<usize>>,
}

impl Fields {
    /// For the separator of that line.
    fn new(line: &[u8]) -> Self {
        let mut quoted = false;
        let mut found = [false; 3];
        for byte in line {
            quoted ^= *byte == b'"';
            for (found, separator) in found.iter_mut().zip(b"\t;,") {
                *found |= !quoted && byte == separator;
            }
        }
        let separator = found.iter().position(|found| *found).map_or(b' ', |which| b"\t;,"[which]);
        let reader =
            ReaderBuilder::new().delimiter(separator).terminator(Terminator::Any(b'\n')).build();
        Self { reader, separator, text: Vec::new(), ends: vec![0; 64], places: Vec::new() }
    }

    /// Splits a line that is not empty.
    fn split(&mut self, line: &[u8]) -> Result<(), String> {
        self.reader.reset();
        if self.text.len() < line.len() + 1 {
            self.text.resize(line.len() + 1, 0);
        }
        let (mut written, mut fields, mut is_whole) = (0, 0, false);
        for mut part in [line, b"\n"] {
            while !part.is_empty() && !is_whole {
                let (text, ends) = (&mut self.text[written..], &mut self.ends[fields..]);
                let (result, read, text, ends) = self.reader.read_record(part, text, ends);
                (part, written, fields) = (&part[read..], written + text, fields + ends);
                match result {
                    ReadRecordResult::InputEmpty => {}
                    ReadRecordResult::OutputFull => self.text.resize(2 * self.text.len() + 1, 0),
                    ReadRecordResult::OutputEndsFull => self.ends.resize(2 * self.ends.len(), 0),
                    ReadRecordResult::Record | ReadRecordResult::End => is_whole = true,
                }
            }
        }
        if !is_whole {
            return Err("a quotation mark is missing".into());
        }
        self.places.clear();
        let mut begin = 0;
        for &end in &self.ends[..fields] {
            // Blanks may be repeated.
            if self.separator != b' ' || begin < end {
                self.places.push(begin..end);
            }
            begin = end;
        }
        // Many devices print a separator after the last number, too.
        if self.places.len() > 1 && self.get(self.places.len() - 1).is_ok_and(str::is_empty) {
            self.places.pop();
        }
        Ok(())
    }

    fn count(&self) -> usize {
        self.places.len()
    }

    /// A field without white space around it.
    fn get(&self, column: usize) -> Result<&str, String> {
        let bytes = self.places.get(column).map_or(&[][..], |place| &self.text[place.clone()]);
        let bytes = bytes.trim_ascii();
        std::str::from_utf8(bytes).map_err(|_| {
            format!("expected a number, found {}", shown(&String::from_utf8_lossy(bytes)))
        })
    }
}

/// What the first line says.
struct Table {
    /// The number of that line.
    line: usize,
    /// Columns of every line.
    width: usize,
    columns: Range<usize>,
    /// The names of the columns that are read; empty if the first line has numbers.
    names: Vec<String>,
}

impl Table {
    fn new(lines: usize, fields: &Fields, columns: &Columns<'_>) -> Result<Self, String> {
        let width = fields.count();
        let named = || (0..width).map(|column| fields.get(column).unwrap_or_default().to_owned());
        let columns = match *columns {
            Columns::All => 0..width,
            Columns::Numbered { first, last } if last <= width => first - 1..last,
            Columns::Numbered { last, .. } => {
                return Err(format!("column {last} is missing: there are {width}"));
            }
            Columns::Named(name) => {
                let mut places =
                    named().enumerate().filter(|(_, other)| other == name).map(|(place, _)| place);
                let (Some(place), another) = (places.next(), places.next()) else {
                    return Err(format!(
                        "no column is named {}: {}",
                        shown(name),
                        list(named().collect())
                    ));
                };
                if another.is_some() {
                    return Err(format!(
                        "several columns are named {}: give a number",
                        shown(name)
                    ));
                }
                let names = named().skip(place).take(1).collect();
                return Ok(Self { line: lines, width, columns: place..place + 1, names });
            }
        };
        let names = if is_header(columns.clone().map(|column| fields.get(column)))? {
            named().skip(columns.start).take(columns.len()).collect()
        } else {
            Vec::new()
        };
        Ok(Self { line: lines, width, columns, names })
    }

    /// A column, as an error calls it.
    fn name(&self, column: usize) -> String {
        let name = self.names.get(column - self.columns.start);
        let name = name.map_or(String::new(), |name| format!(" ({})", shown(name)));
        format!("column {}{name}", column + 1)
    }
}

/// Whether these fields are names. Numbers 0, 1, 2 and so on between names are names, too; alone they might be
/// both.
fn is_header<'a>(fields: impl Iterator<Item = Result<&'a str, String>>) -> Result<bool, String> {
    let (mut names, mut numbers, mut counted) = (0, 0, true);
    for field in fields {
        let field = field.unwrap_or_default();
        if field.parse::<f64>().is_ok() {
            counted &= field == numbers.to_string();
            numbers += 1;
        } else {
            names += 1;
        }
    }
    match (names, numbers, counted) {
        (0, COUNTED.., true) => {
            Err("its numbers are 0, 1, 2 and so on, which may be names of columns: delete \
                                     this line, or put a line of names above it"
                .into())
        }
        // A single zero is more probably data.
        (1.., 2.., counted) => Ok(counted),
        (names, numbers, _) => Ok(names > 0 && numbers == 0),
    }
}

/// Reads the columns that follow the name of the file.
pub(super) fn read(source: &mut Window, member: Option<&str>) -> Result<(Window, Header), String> {
    let (columns, element) = split_type(member)?;
    let columns = columns.map_or(Ok(Columns::All), Columns::parse)?;
    let mut lines = Lines::new(source);
    let mut numbers = Numbers::new(element).map_err(|error| error.to_string())?;
    let mut first: Option<(Fields, Table)> = None;
    let mut rows = 0;
    while let Some(line) = lines.next()? {
        if line.starts_with(b"#") {
            continue;
        }
        let (fields, table) = match &mut first {
            Some((fields, table)) => {
                fields.split(line).map_err(|reason| lines.wrong(reason))?;
                (fields, table)
            }
            none => {
                let mut fields = Fields::new(line);
                let table = fields
                    .split(line)
                    .and_then(|()| Table::new(lines.number, &fields, &columns))
                    .map_err(|reason| lines.wrong(reason))?;
                let is_header = !table.names.is_empty();
                let (fields, table) = none.insert((fields, table));
                if is_header {
                    continue;
                }
                (fields, table)
            }
        };
        if fields.count() != table.width {
            return Err(lines.wrong(format!(
                "{} columns: expected {}, as in line {}",
                fields.count(),
                table.width,
                table.line
            )));
        }
        for column in table.columns.clone() {
            fields.get(column).and_then(|field| numbers.push(field)).map_err(|reason| {
                format!("line {}, {}: {reason}", lines.number, table.name(column))
            })?;
        }
        rows += 1;
    }
    let Some((_, table)) = first.filter(|_| rows > 0) else {
        return Err("it has no rows of numbers".into());
    };
    numbers.finish_lines(rows, table.columns.len())
}

//! Arrays of numbers in C, as in `const int8_t logits[2][3] = { {1, -2, 0x7f}, {4, 5, 6} };`.

use std::io::{BufReader, Bytes, Read};

use super::lines::wrong;
use super::numbers::{Numbers, shown};
use super::raw;
use super::window::Window;
use super::{Element, Header, Integer, elements, list};
use crate::interrupt;

/// Bytes read at a time.
const BUFFER: usize = 1 << 16;
/// Bytes of the longest name or number.
const LONGEST: usize = 1 << 12;
/// The most axes, and the most words in front of an array's name.
const MOST: usize = 64;
/// The most arrays whose names are kept for an error.
const NAMES: usize = 1 << 10;

/// Reads the array of that name, or the only one; a shape may follow its name.
pub(super) fn read(source: &mut Window, member: Option<&str>) -> Result<(Window, Header), String> {
    let (name, shape) = match member.map(|member| member.rsplit_once(':').unwrap_or(("", member))) {
        None => (None, None),
        // No name in C begins with a digit.
        Some((name, last)) => match raw::shape(last) {
            Some(shape) => (Some(name), Some(shape)),
            None => (member, None),
        },
    };
    let name = name.filter(|name| !name.is_empty());
    let mut tokens = Tokens::new(source);
    let mut found = None;
    let mut names: Vec<String> = Vec::new();
    while let Some(declared) = tokens.next_array()? {
        let is_it = name.is_none_or(|name| name == declared.name);
        if names.len() < NAMES {
            names.push(declared.name.clone());
        }
        if !is_it {
            tokens.skip_braces()?;
            continue;
        }
        if found.is_some() {
            return Err(match name {
                Some(name) => tokens.wrong(format!("another array {}: delete one", shown(name))),
                None => {
                    format!("expected the name of an array, as in file.h:name: {}", list(names))
                }
            });
        }
        let whole = array(&mut tokens, &declared)
            .map_err(|reason| format!("its array {}: {reason}", shown(&declared.name)))?;
        found = Some((declared, whole));
    }
    let Some((declared, (numbers, nested))) = found else {
        return Err(match name {
            Some(name) => format!("no array {} with values: {}", shown(name), list(names)),
            None => "it has no array with values, as in const int8_t logits[] = { 1, -2 };".into(),
        });
    };
    let count = numbers.count();
    let fail = |reason: String| Err(format!("its array {}: {reason}", shown(&declared.name)));
    let shape = match shape {
        Some(shape) => shape,
        // Braces may say more than brackets, though not to a compiler.
        None => match declared.shape(count) {
            Some(shape) if shape.len() >= nested.len() => shape,
            _ => nested,
        },
    };
    let expected = elements(&shape)?;
    if expected != count {
        return fail(format!("expected {expected} numbers for shape {shape:?}, found {count}"));
    }
    numbers.finish(shape)
}

/// An array up to its first brace.
struct Declared {
    name: String,
    /// The words in front of its name.
    words: Vec<String>,
    /// The length of each axis, if it is a number.
    lengths: Vec<Option<usize>>,
}

impl Declared {
    /// The type of its numbers.
    fn element(&self) -> Result<Element, String> {
        let has = |word: &str| self.words.iter().any(|other| other == word);
        let unsigned = has("unsigned");
        let of = |signed, other| Element::Integer(if unsigned { other } else { signed });
        let fixed = [
            ("int8_t", Integer::I8),
            ("q7_t", Integer::I8),
            ("uint8_t", Integer::U8),
            ("byte", Integer::U8),
            ("int16_t", Integer::I16),
            ("q15_t", Integer::I16),
            ("uint16_t", Integer::U16),
            ("int32_t", Integer::I32),
            ("q31_t", Integer::I32),
            ("uint32_t", Integer::U32),
            ("int64_t", Integer::I64),
            ("uint64_t", Integer::U64),
            ("bool", Integer::Bool),
            ("_Bool", Integer::Bool),
        ];
        if let Some((_, integer)) = fixed.into_iter().find(|(word, _)| has(word)) {
            return Ok(Element::Integer(integer));
        }
        if has("char") {
            return if unsigned || has("signed") {
                Ok(of(Integer::I8, Integer::U8))
            } else {
                Err("char has a sign on some machines only: write signed char or unsigned char"
                    .into())
            };
        }
        if has("float") || has("float32_t") {
            return Ok(Element::F32);
        }
        if (has("double") || has("float64_t")) && !has("long") {
            return Ok(Element::F64);
        }
        if has("short") {
            return Ok(of(Integer::I16, Integer::U16));
        }
        if has("long") && !has("double") {
            return Ok(of(Integer::I64, Integer::U64));
        }
        if has("int") || has("signed") || unsigned {
            return Ok(of(Integer::I32, Integer::U32));
        }
        Err(format!(
            "its type {} is unknown: expected int8_t, uint8_t, int16_t, int32_t, float, double or another type of C",
            shown(&self.words.join(" "))
        ))
    }

    /// Its shape, if at most the first length is missing.
    fn shape(&self, count: usize) -> Option<Vec<usize>> {
        let (&first, others) = self.lengths.split_first()?;
        let others = others.iter().copied().collect::<Option<Vec<usize>>>()?;
        let row = elements(&others).ok()?;
        // One that is none is found by its count.
        let first = first.or_else(|| (others.is_empty() || row > 0).then(|| count / row.max(1)))?;
        Some([&[first], &others[..]].concat())
    }
}

/// What the source consists of; the text is in [`Tokens::text`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    Word,
    Number,
    /// In quotation marks.
    Quoted,
    Symbol(u8),
}

struct Tokens<'a> {
    bytes: Bytes<BufReader<&'a mut Window>>,
    /// Bytes that were read too early.
    peeked: Option<u8>,
    line: usize,
    text: String,
}

impl<'a> Tokens<'a> {
    fn new(source: &'a mut Window) -> Self {
        let bytes = BufReader::with_capacity(BUFFER, source).bytes();
        Self { bytes, peeked: None, line: 1, text: String::new() }
    }

    fn wrong(&self, reason: impl AsRef<str>) -> String {
        wrong(self.line, reason)
    }

    fn byte(&mut self) -> Result<Option<u8>, String> {
        let next = match self.peeked.take() {
            Some(byte) => Some(byte),
            None => self.bytes.next().transpose().map_err(|error| error.to_string())?,
        };
        self.line += usize::from(next == Some(b'\n'));
        Ok(next)
    }

    fn peek(&mut self) -> Result<Option<u8>, String> {
        if self.peeked.is_none() {
            self.peeked = self.bytes.next().transpose().map_err(|error| error.to_string())?;
        }
        Ok(self.peeked)
    }

    /// The next token, unless the file ends.
    fn next(&mut self) -> Result<Option<Token>, String> {
        interrupt::check().map_err(|error| error.to_string())?;
        loop {
            let Some(byte) = self.byte()? else { return Ok(None) };
            match byte {
                _ if byte.is_ascii_whitespace() => {}
                // A directive of the preprocessor.
                b'#' => self.skip_line(true)?,
                b'/' if self.peek()? == Some(b'/') => self.skip_line(false)?,
                b'/' if self.peek()? == Some(b'*') => self.skip_comment()?,
                b'"' | b'\'' => {
                    self.skip_quoted(byte)?;
                    return Ok(Some(Token::Quoted));
                }
                b'0'..=b'9' => return self.take(byte, Token::Number).map(Some),
                b'.' if self.peek()?.is_some_and(|next| next.is_ascii_digit()) => {
                    return self.take(byte, Token::Number).map(Some);
                }
                b'_' | b'a'..=b'z' | b'A'..=b'Z' => return self.take(byte, Token::Word).map(Some),
                _ => return Ok(Some(Token::Symbol(byte))),
            }
        }
    }

    /// The rest of a word or number.
    fn take(&mut self, first: u8, token: Token) -> Result<Token, String> {
        self.text.clear();
        self.text.push(first.into());
        while let Some(byte) = self.peek()? {
            let before = self.text.as_bytes().last().copied().unwrap_or_default();
            let is_hex = self.text.starts_with("0x") || self.text.starts_with("0X");
            let is_exponent =
                matches!(before, b'e' | b'E') && !is_hex || matches!(before, b'p' | b'P') && is_hex;
            let belongs = byte == b'_'
                || byte.is_ascii_alphanumeric()
                || token == Token::Number
                    && (matches!(byte, b'.' | b'\'') || matches!(byte, b'+' | b'-') && is_exponent);
            if !belongs {
                break;
            }
            if self.text.len() == LONGEST {
                return Err(self.wrong(format!("a word of more than {LONGEST} bytes")));
            }
            self.text.push(byte.into());
            self.byte()?;
        }
        Ok(token)
    }

    fn skip_line(&mut self, mut is_directive: bool) -> Result<(), String> {
        let mut before = 0;
        while let Some(byte) = self.byte()? {
            if byte == b'\n' && before != b'\\' {
                break;
            }
            // A directive may end in a comment, which may have several lines.
            if is_directive && before == b'/' && byte == b'*' {
                self.skip_to_end_of_comment()?;
            }
            is_directive &= (before, byte) != (b'/', b'/');
            if byte != b'\r' {
                before = byte;
            }
        }
        Ok(())
    }

    fn skip_comment(&mut self) -> Result<(), String> {
        self.byte()?;
        self.skip_to_end_of_comment()
    }

    fn skip_to_end_of_comment(&mut self) -> Result<(), String> {
        let begin = self.line;
        let mut before = 0;
        while let Some(byte) = self.byte()? {
            if before == b'*' && byte == b'/' {
                return Ok(());
            }
            before = byte;
        }
        Err(wrong(begin, "a comment without an end"))
    }

    /// A text ends with its line at the latest.
    fn skip_quoted(&mut self, mark: u8) -> Result<(), String> {
        while let Some(byte) = self.byte()? {
            match byte {
                b'\\' => drop(self.byte()?),
                b'\n' => break,
                _ if byte == mark => break,
                _ => {}
            }
        }
        Ok(())
    }

    /// What was found instead of something else.
    fn found(&self, token: Option<Token>) -> String {
        match token {
            None => "the end of the file".into(),
            Some(Token::Word | Token::Number) => shown(&self.text),
            Some(Token::Quoted) => "a text".into(),
            Some(Token::Symbol(symbol)) => shown(&char::from(symbol).to_string()),
        }
    }

    /// Goes to the values of the next array, behind their first brace.
    fn next_array(&mut self) -> Result<Option<Declared>, String> {
        let mut words: Vec<String> = Vec::new();
        let mut lengths = Vec::new();
        let mut is_assigned = false;
        let mut parentheses = 0_usize;
        while let Some(token) = self.next()? {
            match token {
                Token::Symbol(b'(') => parentheses += 1,
                Token::Symbol(b')') => parentheses = parentheses.saturating_sub(1),
                Token::Symbol(b'{') if !lengths.is_empty() => {
                    let Some(name) = words.pop() else {
                        return Err(self.wrong("an array without a name"));
                    };
                    return Ok(Some(Declared { name, words, lengths }));
                }
                Token::Symbol(b'{') if is_assigned => {
                    self.skip_braces()?;
                    is_assigned = false;
                }
                Token::Symbol(b'{' | b'}' | b';') => {
                    words.clear();
                    lengths.clear();
                    (is_assigned, parentheses) = (false, 0);
                }
                _ if parentheses > 0 => {}
                Token::Symbol(b'=') => is_assigned = true,
                Token::Symbol(b'[') if !is_assigned => {
                    if lengths.len() == MOST {
                        return Err(self.wrong(format!("more than {MOST} axes")));
                    }
                    lengths.push(self.length()?);
                }
                Token::Word if lengths.is_empty() && !is_assigned => {
                    if words.len() == MOST {
                        words.remove(0);
                    }
                    words.push(self.text.clone());
                }
                // Text assigned to an array of char, for example.
                Token::Quoted if is_assigned => lengths.clear(),
                _ => {}
            }
        }
        Ok(None)
    }

    /// The length in brackets, if it is one number.
    fn length(&mut self) -> Result<Option<usize>, String> {
        let (mut length, mut count) = (None, 0);
        loop {
            match self.next()? {
                Some(Token::Symbol(b']')) => return Ok(length.filter(|_| count == 1)),
                Some(Token::Number) => {
                    length =
                        integer(&self.text).and_then(|(length, _)| usize::try_from(length).ok());
                }
                Some(_) => {}
                None => return Err(self.wrong("a bracket without an end")),
            }
            count += 1;
        }
    }

    /// Goes behind the brace that closes one which was read.
    fn skip_braces(&mut self) -> Result<(), String> {
        let mut depth = 1_usize;
        while depth > 0 {
            match self.next()? {
                Some(Token::Symbol(b'{')) => depth += 1,
                Some(Token::Symbol(b'}')) => depth -= 1,
                Some(_) => {}
                None => return Err(self.wrong("a brace without an end")),
            }
        }
        Ok(())
    }
}

/// The numbers of an array, and its shape by its braces.
fn array(tokens: &mut Tokens<'_>, declared: &Declared) -> Result<(Numbers, Vec<usize>), String> {
    let element = declared.element()?;
    let mut numbers = Numbers::new(Some(element)).map_err(|error| error.to_string())?;
    // What is in each brace that is open; and how much it must be, once one of that depth was closed.
    let mut open = vec![0];
    let mut lengths: Vec<Option<usize>> = vec![None];
    let mut depth = None;
    // After a value or a closed brace.
    let mut is_behind = false;
    loop {
        let token = tokens.next()?;
        match token {
            Some(Token::Symbol(b'{')) if !is_behind && open.len() < MOST => {
                open.push(0);
                if lengths.len() < open.len() {
                    lengths.push(None);
                }
            }
            Some(Token::Symbol(b'}')) => {
                let count = open.pop().unwrap_or_default();
                let expected = *lengths[open.len()].get_or_insert(count);
                if expected != count {
                    return Err(tokens.wrong(format!(
                        "{count} in braces: expected {expected}, as in those before"
                    )));
                }
                let Some(outer) = open.last_mut() else { break };
                *outer += 1;
                is_behind = true;
            }
            Some(Token::Symbol(b',')) if is_behind => is_behind = false,
            _ if is_behind => {
                let found = tokens.found(token);
                return Err(tokens.wrong(format!("expected a comma or a brace, found {found}")));
            }
            _ => {
                if *depth.get_or_insert(open.len()) != open.len() {
                    return Err(tokens.wrong("a number next to braces: expected braces around all"));
                }
                value(tokens, token, element, &mut numbers)?;
                if let Some(count) = open.last_mut() {
                    *count += 1;
                }
                is_behind = true;
            }
        }
    }
    let shape: Vec<usize> = lengths.into_iter().flatten().collect();
    if depth.is_some_and(|depth| depth != shape.len()) {
        return Err(tokens.wrong("braces without numbers"));
    }
    Ok((numbers, shape))
}

/// Takes a number with its signs and parentheses.
fn value(
    tokens: &mut Tokens<'_>,
    mut token: Option<Token>,
    element: Element,
    numbers: &mut Numbers,
) -> Result<(), String> {
    let (mut parentheses, mut is_negative) = (0_usize, false);
    loop {
        match token {
            Some(Token::Symbol(b'-')) => is_negative = !is_negative,
            Some(Token::Symbol(b'+')) => {}
            Some(Token::Symbol(b'(')) => parentheses += 1,
            _ => break,
        }
        token = tokens.next()?;
    }
    let sign = if is_negative { -1.0 } else { 1.0 };
    let taken = match (token, &tokens.text[..]) {
        (Some(Token::Number), text) => number(text, is_negative, element, numbers),
        (Some(Token::Word), "NAN") => numbers.push_float(f64::NAN),
        (Some(Token::Word), "INFINITY") => numbers.push_float(sign * f64::INFINITY),
        (Some(Token::Word), "true") => numbers.push_integer(1),
        (Some(Token::Word), "false") => numbers.push_integer(0),
        _ => Err(format!("expected a number, found {}", tokens.found(token))),
    };
    taken.map_err(|reason| tokens.wrong(reason))?;
    for _ in 0..parentheses {
        let token = tokens.next()?;
        if token != Some(Token::Symbol(b')')) {
            let found = tokens.found(token);
            return Err(tokens.wrong(format!("expected a parenthesis, found {found}")));
        }
    }
    Ok(())
}

/// Takes a number as a compiler does: floats without the suffix f are doubles first.
fn number(
    text: &str,
    is_negative: bool,
    element: Element,
    numbers: &mut Numbers,
) -> Result<(), String> {
    let no_number = || format!("expected a number, found {}", shown(text));
    if let Some((mut number, is_bits)) = integer(text) {
        if is_negative {
            number = -number;
        }
        if let Element::Integer(integer) = element
            && is_bits
            && integer.is_signed()
        {
            // 0xff in an int8_t is -1.
            let (_, high) = integer.range();
            if number > high && number <= 2 * high + 1 {
                number -= 2 * high + 2;
            }
        }
        if number == 0 && is_negative && !matches!(element, Element::Integer(_)) {
            // An integer zero has no sign.
            return numbers.push_float(0.0);
        }
        return numbers.push_integer(number);
    }
    if text.starts_with("0x") || text.starts_with("0X") {
        return Err(format!("{}: write a hexadecimal float in decimals", shown(text)));
    }
    let digits = text.replace('\'', "");
    let sign = if is_negative { -1.0 } else { 1.0 };
    match digits.strip_suffix(['f', 'F']) {
        Some(digits) => {
            let number: f32 = plain(digits).ok_or_else(no_number)?;
            if number.is_infinite() {
                return Err(format!("{} is too large for float", shown(text)));
            }
            numbers.push_float(sign * f64::from(number))
        }
        None => {
            let number: f64 =
                plain(digits.strip_suffix(['l', 'L']).unwrap_or(&digits)).ok_or_else(no_number)?;
            if number.is_infinite() {
                return Err(format!("{} is too large for double", shown(text)));
            }
            numbers.push_float(sign * number)
        }
    }
}

/// A float in decimals.
fn plain<T: std::str::FromStr>(text: &str) -> Option<T> {
    let is_plain =
        |byte: u8| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'+' | b'-');
    text.parse().ok().filter(|_| text.bytes().all(is_plain))
}

/// An integer of C, and whether it is written as bits rather than in decimals.
fn integer(text: &str) -> Option<(i128, bool)> {
    let digits = text.replace('\'', "").to_ascii_lowercase();
    let digits = digits.trim_end_matches(['u', 'l']);
    let parsed = |digits: &str, radix| {
        let is_plain = digits.bytes().all(|byte| byte.is_ascii_alphanumeric());
        i128::from_str_radix(digits, radix).ok().filter(|_| is_plain)
    };
    if let Some(digits) = digits.strip_prefix("0x") {
        return Some((parsed(digits, 16)?, true));
    }
    if let Some(digits) = digits.strip_prefix("0b") {
        return Some((parsed(digits, 2)?, true));
    }
    let is_octal = digits.len() > 1 && digits.starts_with('0');
    Some((parsed(digits, if is_octal { 8 } else { 10 })?, is_octal))
}

//! A folder of arrays to run the program in.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use npyz::{AutoSerialize, NpyFile, WriterBuilder};
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use tempfile::TempDir;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// A folder that is deleted at the end.
pub(crate) struct Folder(TempDir);

/// The result of a run of the program.
pub(crate) struct Outcome {
    pub(crate) status: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Outcome {
    pub(crate) fn of(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
        Self {
            status: output.status.code(),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }

    /// Expects a refusal in one line with all of these words.
    pub(crate) fn is_refused(&self, words: &[&str]) {
        self.is_ended(2, words);
    }

    /// Expects this exit code, and one line with all of these words.
    pub(crate) fn is_ended(&self, status: i32, words: &[&str]) {
        assert_eq!(self.status, Some(status), "{}{}", self.stdout, self.stderr);
        assert_eq!(self.stderr.lines().count(), 1, "{}", self.stderr);
        for word in words {
            assert!(self.stderr.contains(word), "no {word:?} in: {}", self.stderr);
        }
    }
}

impl Folder {
    pub(crate) fn new() -> Self {
        Self(TempDir::new().expect("a temporary folder"))
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn save<T: AutoSerialize + Copy>(&self, name: &str, shape: &[u64], values: &[T]) {
        let mut writer = npyz::WriteOptions::new()
            .default_dtype()
            .shape(shape)
            .writer(File::create(self.path(name)).expect("a file"))
            .begin_nd()
            .expect("a header");
        writer.extend(values.iter().copied()).expect("the numbers");
        writer.finish().expect("as many as the shape says");
    }

    /// A `.npy` file byte by byte, as other programs may write it.
    pub(crate) fn save_bytes(&self, name: &str, descr: &str, shape: &[u64], numbers: &[u8]) {
        let lengths: String = shape.iter().map(|length| format!("{length},")).collect();
        let header =
            format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({lengths}), }}\n");
        let length = u16::try_from(header.len()).expect("a short header").to_le_bytes();
        let file = [b"\x93NUMPY\x01\x00", &length[..], header.as_bytes(), numbers].concat();
        std::fs::write(self.path(name), file).expect("a file");
    }

    /// A column-major `.npy` file of an array given in row-major order.
    pub(crate) fn save_columns<T: AutoSerialize + Copy>(
        &self,
        name: &str,
        shape: &[u64],
        values: &[T],
    ) {
        let mut order: Vec<usize> = Vec::new();
        for number in 0..values.len() {
            let (mut left, mut place) = (number as u64, 0);
            let index: Vec<u64> = shape
                .iter()
                .map(|&length| {
                    let index = left % length;
                    left /= length;
                    index
                })
                .collect();
            for (&length, index) in shape.iter().zip(index) {
                place = place * length + index;
            }
            order.push(place as usize);
        }
        let mut writer = npyz::WriteOptions::new()
            .default_dtype()
            .order(npyz::Order::Fortran)
            .shape(shape)
            .writer(File::create(self.path(name)).expect("a file"))
            .begin_nd()
            .expect("a header");
        writer.extend(order.into_iter().map(|place| values[place])).expect("the numbers");
        writer.finish().expect("as many as the shape says");
    }

    /// A `.npz` file of existing `.npy` files, which are deleted.
    pub(crate) fn save_npz(&self, name: &str, arrays: &[&str], method: CompressionMethod) {
        let mut archive = ZipWriter::new(File::create(self.path(name)).expect("a file"));
        let options = SimpleFileOptions::default().compression_method(method);
        for array in arrays {
            let bytes = std::fs::read(self.path(array)).expect("an array");
            archive.start_file(*array, options).expect("a member");
            archive.write_all(&bytes).expect("its bytes");
            std::fs::remove_file(self.path(array)).expect("an array");
        }
        archive.finish().expect("an archive");
    }

    /// A `.safetensors` file.
    pub(crate) fn save_tensors(&self, name: &str, tensors: &[(&str, Dtype, &[usize], &[u8])]) {
        let views = tensors.iter().map(|&(name, dtype, shape, numbers)| {
            (name, TensorView::new(dtype, shape.to_vec(), numbers).expect("a tensor"))
        });
        let file = safetensors::serialize(views, None).expect("a header");
        std::fs::write(self.path(name), file).expect("a file");
    }

    pub(crate) fn load<T: npyz::Deserialize>(&self, name: &str) -> (Vec<u64>, Vec<T>) {
        let file = NpyFile::new(File::open(self.path(name)).expect("a file")).expect("a header");
        (file.shape().to_vec(), file.into_vec().expect("the numbers"))
    }

    /// The names of all files.
    pub(crate) fn files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.0.path()).expect("the folder");
        let name = |entry: std::io::Result<std::fs::DirEntry>| {
            entry.expect("an entry").file_name().to_string_lossy().into_owned()
        };
        let mut names: Vec<String> = entries.map(name).collect();
        names.sort();
        names
    }

    /// Another program, in the folder.
    pub(crate) fn other(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.0.path());
        command
    }

    /// The program, in the folder.
    pub(crate) fn program(&self, arguments: &str) -> Command {
        let mut command = self.other(env!("CARGO_BIN_EXE_xent"));
        command.args(arguments.split_whitespace());
        command
    }

    /// Runs the program in the folder.
    pub(crate) fn run(&self, arguments: &str) -> Outcome {
        Outcome::of(self.program(arguments).output().expect("the program runs"))
    }

    /// Runs the program in the folder, with these bytes on its standard input.
    pub(crate) fn run_with(&self, input: &[u8], arguments: &str) -> Outcome {
        let mut program = self.program(arguments);
        let program = program.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = program.spawn().expect("the program runs");
        let mut stdin = child.stdin.take().expect("its input");
        // A program that refuses the input may not read all of it.
        let _ = stdin.write_all(input);
        drop(stdin);
        Outcome::of(child.wait_with_output().expect("its output"))
    }

    /// Runs the program, and reads the JSON object that it prints.
    pub(crate) fn json(&self, arguments: &str) -> serde_json::Value {
        let outcome = self.run(&format!("{arguments} --json"));
        assert_eq!(outcome.status, Some(0), "{}", outcome.stderr);
        serde_json::from_str(&outcome.stdout).expect("one JSON object")
    }

    /// Runs the program, and expects a refusal in one line with all of these words.
    pub(crate) fn refused(&self, arguments: &str, words: &[&str]) {
        let before = self.files();
        self.run(arguments).is_refused(words);
        assert_eq!(self.files(), before, "a file was left behind");
    }
}

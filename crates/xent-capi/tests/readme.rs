//! The program in README.md is part of `examples/loss.c`, which another test compiles and runs.

const README: &str = include_str!("../README.md");
const EXAMPLE: &str = include_str!("../examples/loss.c");

#[test]
fn its_lines_are_those_of_the_example() {
    let (_, block) = README.split_once("```c\n").expect("a program in C");
    let (block, _) = block.split_once("```").expect("its end");
    assert!(block.lines().count() > 3, "{block}");
    let mut example = EXAMPLE.lines().map(str::trim);
    for line in block.lines() {
        assert!(example.any(|other| other == line), "not in examples/loss.c, or later: {line}");
    }
}

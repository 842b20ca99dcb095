//! The machines that the tests run on.

/// A machine, most often an emulated one.
#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) name: &'static str,
    /// The target; none for the target of this program, whose tests several machines share.
    pub(crate) triple: Option<&'static str>,
    pub(crate) linker: Option<&'static str>,
    pub(crate) flags: &'static str,
    /// What runs a program of that target, in the workspace's folder.
    pub(crate) runner: &'static [&'static str],
    /// Programs and files that this needs, with their Debian packages.
    pub(crate) needs: &'static [(&'static str, &'static [&'static str])],
    /// The levels that it must have, the simplest first; empty if the processor may be any.
    pub(crate) levels: Option<&'static [&'static str]>,
    /// Tests that are left out, and why.
    pub(crate) without: &'static [(&'static str, &'static str)],
    /// Whether it is part of a quick run.
    pub(crate) quick: bool,
}

/// This program's own target.
const NATIVE: Machine = Machine {
    name: "native",
    triple: None,
    linker: None,
    flags: "",
    runner: &[],
    needs: &[],
    levels: None,
    without: &[],
    quick: true,
};

const PORTABLE: Option<&[&str]> = Some(&["portable"]);

/// All machines; those of x86-64 only if this is one.
pub(crate) const MACHINES: &[Machine] = &[
    NATIVE,
    #[cfg(target_arch = "x86_64")]
    Machine {
        name: "x86-64-sse2",
        runner: &["qemu-x86_64-static", "-cpu", "Nehalem"],
        needs: &[("qemu-x86_64-static", QEMU)],
        levels: PORTABLE,
        ..NATIVE
    },
    #[cfg(target_arch = "x86_64")]
    Machine {
        name: "x86-64-avx2-without-fma",
        runner: &["qemu-x86_64-static", "-cpu", "Haswell,-fma"],
        needs: &[("qemu-x86_64-static", QEMU)],
        levels: PORTABLE,
        ..NATIVE
    },
    #[cfg(target_arch = "x86_64")]
    Machine {
        name: "x86-64-avx2",
        runner: &["qemu-x86_64-static", "-cpu", "Haswell"],
        needs: &[("qemu-x86_64-static", QEMU)],
        levels: Some(&["portable", "avx2"]),
        // As of version 7.2.
        without: &[("guard_pages", "qemu's masked loads touch what is masked")],
        // It would take minutes, for levels that most machines have themselves.
        quick: false,
        ..NATIVE
    },
    Machine {
        name: "aarch64",
        triple: Some("aarch64-unknown-linux-gnu"),
        linker: Some("aarch64-linux-gnu-gcc"),
        runner: &["qemu-aarch64-static", "-L", "/usr/aarch64-linux-gnu"],
        needs: &[
            ("aarch64-linux-gnu-gcc", &["gcc-aarch64-linux-gnu", "libc6-dev-arm64-cross"]),
            ("qemu-aarch64-static", QEMU),
        ],
        levels: PORTABLE,
        ..NATIVE
    },
    Machine {
        name: "armv7",
        triple: Some("armv7-unknown-linux-gnueabihf"),
        linker: Some("arm-linux-gnueabihf-gcc"),
        runner: &["qemu-arm-static", "-L", "/usr/arm-linux-gnueabihf"],
        needs: &[
            ("arm-linux-gnueabihf-gcc", &["gcc-arm-linux-gnueabihf", "libc6-dev-armhf-cross"]),
            ("qemu-arm-static", QEMU),
        ],
        levels: PORTABLE,
        quick: false,
        ..NATIVE
    },
    Machine {
        name: "i686",
        triple: Some("i686-unknown-linux-gnu"),
        needs: &[("/usr/lib32/libc.so", &["libc6-dev-i386", "lib32gcc-12-dev"])],
        quick: false,
        ..NATIVE
    },
    Machine {
        name: "riscv64",
        triple: Some("riscv64gc-unknown-linux-gnu"),
        linker: Some("riscv64-linux-gnu-gcc"),
        runner: &["qemu-riscv64-static", "-L", "/usr/riscv64-linux-gnu"],
        needs: &[
            ("riscv64-linux-gnu-gcc", &["gcc-riscv64-linux-gnu", "libc6-dev-riscv64-cross"]),
            ("qemu-riscv64-static", QEMU),
        ],
        levels: PORTABLE,
        quick: false,
        ..NATIVE
    },
    Machine {
        name: "s390x",
        triple: Some("s390x-unknown-linux-gnu"),
        linker: Some("s390x-linux-gnu-gcc"),
        runner: &["qemu-s390x-static", "-L", "/usr/s390x-linux-gnu"],
        needs: &[
            ("s390x-linux-gnu-gcc", &["gcc-s390x-linux-gnu", "libc6-dev-s390x-cross"]),
            ("qemu-s390x-static", QEMU),
        ],
        levels: PORTABLE,
        quick: false,
        ..NATIVE
    },
    Machine {
        name: "wasm32",
        triple: Some("wasm32-wasip1"),
        flags: "-Ctarget-feature=+simd128",
        runner: NODE,
        needs: &[("node", &["nodejs"])],
        levels: PORTABLE,
        quick: false,
        ..NATIVE
    },
    Machine {
        name: "wasm32-relaxed-simd",
        triple: Some("wasm32-wasip1"),
        flags: "-Ctarget-feature=+simd128,+relaxed-simd",
        runner: NODE,
        needs: &[("node", &["nodejs"])],
        levels: Some(&["portable", "relaxed-simd"]),
        quick: false,
        ..NATIVE
    },
];

const NODE: &[&str] = &["node", "tools/wasi.mjs"];
const QEMU: &[&str] = &["qemu-user-static"];

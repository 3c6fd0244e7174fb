//! A driver for machines without a GPU: kernels compiled for the CPU, and every call counted.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Result, workspace};

/// candle's kernels that advect's tensors go through.
const CANDLE: [&str; 8] = [
    "affine", "binary", "cast", "fill", "indexing", "reduce", "ternary", "unary",
];
/// Libraries that it stands in for.
const NAMES: [&str; 5] = ["cuda", "cublas", "cublasLt", "curand", "nvrtc"];

/// Builds it; the folder for the loader's search path.
pub fn build() -> Result<PathBuf> {
    let root = workspace::root();
    let out = root.join("target/cuda-standin");
    fs::create_dir_all(&out)?;
    let compiler = Compiler {
        sources: root.join("scripts/cuda/standin"),
        candle: candle_sources()?,
        out: out.clone(),
        headers: headers(&root)?,
    };
    let mut objects = Vec::new();
    for part in ["threads", "driver", "blas"] {
        objects.push(compiler.part(part)?);
    }
    for name in CANDLE {
        objects.push(compiler.kernels(&compiler.candle.join(format!("{name}.cu")))?);
    }
    for (path, _) in workspace::texts(&root.join("crates"), "cu")? {
        objects.push(compiler.kernels(&root.join("crates").join(path))?);
    }
    let library = out.join("libcuda.so");
    let link = [
        "-shared",
        "-Wl,-Bsymbolic,--allow-multiple-definition",
        "-o",
    ];
    run(Command::new("g++").args(link).arg(&library).args(&objects))?;
    for name in NAMES {
        let other = out.join(format!("lib{name}.so"));
        if !other.exists() {
            std::os::unix::fs::symlink("libcuda.so", &other)?;
        }
    }
    Ok(out)
}

/// Where cargo keeps the sources of candle's kernels.
fn candle_sources() -> Result<PathBuf> {
    let mut command = Command::new(workspace::cargo());
    command.args([
        "metadata",
        "--format-version",
        "1",
        "--features",
        "advect/cuda",
    ]);
    let text = said(command.current_dir(workspace::root()))?;
    let manifests = text.split("\"manifest_path\":\"").skip(1);
    let path = manifests
        .filter_map(|rest| rest.split('"').next())
        .find(|path| path.contains("/candle-kernels-"))
        .ok_or("cargo knows no candle-kernels")?;
    Ok(Path::new(path).with_file_name("src"))
}

struct Compiler {
    sources: PathBuf,
    candle: PathBuf,
    out: PathBuf,
    /// What sources may include; each is compiled anew when one of these is.
    headers: Vec<PathBuf>,
}

fn headers(root: &Path) -> Result<Vec<PathBuf>> {
    let sources = root.join("scripts/cuda/standin");
    let mut headers = ["device.h", "graph.h", "threads.h"]
        .map(|name| sources.join(name))
        .to_vec();
    for (path, _) in workspace::texts(&root.join("crates"), "cuh")? {
        headers.push(root.join("crates").join(path));
    }
    Ok(headers)
}

impl Compiler {
    fn is_made(&self, object: &Path, source: &Path) -> bool {
        newer(object, source) && self.headers.iter().all(|header| newer(object, header))
    }

    /// A part of the driver itself.
    fn part(&self, name: &str) -> Result<PathBuf> {
        let source = self.sources.join(name).with_extension("cpp");
        let object = self.out.join(name).with_extension("o");
        if !self.is_made(&object, &source) {
            let flags = ["-std=c++17", "-O2", "-fPIC", "-Wall", "-Werror", "-c"];
            run(Command::new("g++")
                .args(flags)
                .arg(&source)
                .arg("-o")
                .arg(&object))?;
        }
        Ok(object)
    }

    /// Kernels, with a table of them by name: their names are those that the object file shows.
    fn kernels(&self, source: &Path) -> Result<PathBuf> {
        let name = source
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let object = self.out.join(format!("kernels-{name}.o"));
        if self.is_made(&object, source) {
            return Ok(object);
        }
        let (bare, table) = (
            self.out.join("bare.o"),
            self.out.join(format!("{name}.table.cu")),
        );
        self.compile(source, &bare)?;
        let symbols = said(Command::new("nm").args(["-g", "--defined-only"]).arg(&bare))?;
        let mut text = format!("#include \"{}\"\n", source.display());
        for kernel in symbols.lines().filter_map(kernel_name) {
            text += &format!("STANDIN_KERNEL({kernel})\n");
        }
        fs::write(&table, text)?;
        self.compile(&table, &object)?;
        Ok(object)
    }

    fn compile(&self, source: &Path, object: &Path) -> Result {
        let mut compiler = Command::new("g++");
        compiler.args([
            "-x",
            "c++",
            "-std=c++17",
            "-O1",
            "-fPIC",
            "-w",
            "-fpermissive",
        ]);
        compiler.arg("-I").arg(self.sources.join("include"));
        compiler.arg("-I").arg(&self.candle);
        compiler.arg("-include").arg(self.sources.join("device.h"));
        run(compiler.arg("-c").arg(source).arg("-o").arg(object))
    }
}

/// A C function of a line of `nm`; C++'s own have names that begin with `_Z`.
fn kernel_name(line: &str) -> Option<&str> {
    let (_, name) = line.split_once(" T ")?;
    (!name.starts_with("_Z")).then_some(name)
}

fn newer(made: &Path, of: &Path) -> bool {
    let time = |path: &Path| fs::metadata(path).and_then(|meta| meta.modified()).ok();
    time(made) > time(of)
}

fn run(command: &mut Command) -> Result {
    let shown = format!("{command:?}");
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{shown} ended with {status}").into()),
        Err(e) => Err(format!("{shown} does not start ({e}); apt-get install g++ binutils").into()),
    }
}

fn said(command: &mut Command) -> Result<String> {
    let shown = format!("{command:?}");
    let output = command
        .output()
        .map_err(|e| format!("{shown} does not start: {e}"))?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(format!("{shown} ended with {}", output.status).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_are_told_from_other_symbols() {
        assert_eq!(kernel_name("0000000000000010 T add_bias"), Some("add_bias"));
        assert_eq!(kernel_name("0000000000000010 T _Z8curve_atif"), None);
        assert_eq!(kernel_name("0000000000000010 W inline_thing"), None);
    }
}

//! A server for the files of one folder, for this machine only.

use std::path::{Path, PathBuf};
use std::{fs, io};

use tiny_http::{Header, Request, Response};

/// Serves the files of a folder.
pub(super) struct Server {
    http: tiny_http::Server,
    folder: PathBuf,
}

impl Server {
    /// Listens on a port of this machine; on any free port with 0.
    pub(super) fn start(folder: &Path, port: u16) -> Result<Self, String> {
        let http = tiny_http::Server::http(("127.0.0.1", port))
            .map_err(|error| format!("port {port}: {error}"))?;
        Ok(Self { http, folder: folder.into() })
    }

    pub(super) fn address(&self) -> String {
        format!("http://{}/", self.http.server_addr())
    }

    /// Serves as long as the program runs.
    pub(super) fn run(&self) {
        for request in self.http.incoming_requests() {
            // If the browser has gone, its answer is not needed.
            let _ = self.answer(request);
        }
    }

    fn answer(&self, request: Request) -> io::Result<()> {
        let path = request.url().split('?').next().unwrap_or_default();
        let name = match path.trim_start_matches('/') {
            "" => "index.html",
            name => name,
        };
        // The folder has no subfolders, and no such name leads outside it.
        let content = content(name).filter(|_| !name.contains(['/', '\\']));
        match content.and_then(|content| Some((content, fs::read(self.folder.join(name)).ok()?))) {
            Some((content, bytes)) => {
                let header = Header::from_bytes("Content-Type", content).expect("plain letters");
                request.respond(Response::from_data(bytes).with_header(header))
            }
            None => request.respond(Response::from_string("not here").with_status_code(404)),
        }
    }
}

/// The type of a file, by its extension; browsers require it for modules.
fn content(name: &str) -> Option<&'static str> {
    Some(match name.rsplit_once('.')?.1 {
        "html" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "wasm" => "application/wasm",
        _ => return None,
    })
}

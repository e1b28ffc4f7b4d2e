//! The nginx configurations: an upstream and reverse-proxy hops.

use std::{fmt::Display, io, path::Path, process::Command};

use crate::process::Process;

/// Large enough that no connection is closed for having served too many requests in the middle of a run.
const KEEP: &str = "keepalive_requests 1000000000; keepalive_timeout 300s;";

/// An upstream with 128-byte answers at `/small` and files at `/files/`.
pub(crate) fn upstream(port: u16, data: &Path, work: &Path) -> io::Result<Process> {
    let answer = "x".repeat(128);
    let server = format!(
        "server {{
            listen 127.0.0.1:{port};
            location = /small {{ default_type text/plain; return 200 \"{answer}\"; }}
            location /files/ {{ alias {data}/; }}
        }}",
        data = data.display()
    );
    start("upstream", port, &server, work)
}

/// A reverse proxy: uploads to `/sink` go to one port, all else to another.
pub(crate) fn hop(name: &str, port: u16, to: u16, sink: u16, work: &Path) -> io::Result<Process> {
    let server = format!(
        "upstream all {{ server 127.0.0.1:{to}; keepalive 512; {KEEP} }}
        upstream sink {{ server 127.0.0.1:{sink}; keepalive 512; {KEEP} }}
        server {{
            listen 127.0.0.1:{port};
            proxy_http_version 1.1;
            proxy_set_header Connection \"\";
            # Bodies stream, as they do through Reachback: none is spooled to disk.
            proxy_max_temp_file_size 0;
            proxy_request_buffering off;
            client_max_body_size 0;
            location / {{ proxy_pass http://all; }}
            location /sink {{ proxy_pass http://sink; }}
        }}"
    );
    start(name, port, &server, work)
}

fn start(name: &str, port: u16, server: &str, work: &Path) -> io::Result<Process> {
    let folder = work.join(name);
    std::fs::create_dir_all(&folder)?;
    let config = folder.join("nginx.conf");
    std::fs::write(&config, configuration(&folder.display(), server))?;
    let mut command = Command::new("nginx");
    command.arg("-p").arg(&folder).arg("-e").arg(folder.join("error.log")).arg("-c").arg(&config);
    let mut process = Process::start(name, &mut command, work)?;
    process.wait_for_port(port)?;
    Ok(process)
}

/// One worker, logs off, everything else as nginx ships it. `user` keeps root's worker able to read our own folder;
/// nobody else's nginx heeds it.
fn configuration(folder: &impl Display, server: &str) -> String {
    format!(
        "daemon off; worker_processes 1; user root; pid {folder}/pid; error_log {folder}/error.log;
        events {{ worker_connections 8192; }}
        http {{
            access_log off; sendfile on; {KEEP}
            client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
            uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
            {server}
        }}\n"
    )
}

//! Builds what Tauri needs at compile time: permissions, capabilities, and a page where none was built.

use std::{fs, path::Path};

fn main() {
    println!("cargo:rerun-if-changed=src-tauri/capabilities");
    println!("cargo:rerun-if-changed=src-tauri/permissions");
    println!("cargo:rerun-if-changed=ui/dist");
    place_a_page().expect("ui/dist/index.html can be written");
    let attributes = tauri_build::Attributes::new()
        .capabilities_path_pattern("./src-tauri/capabilities/*.json")
        .app_manifest(
            tauri_build::AppManifest::new()
                .permissions_path_pattern("./src-tauri/permissions/*.toml"),
        );
    tauri_build::try_build(attributes).expect("tauri.conf.json and the capabilities are right");
}

/// One feature set is compiled everywhere, also where the UI has not been built.
fn place_a_page() -> std::io::Result<()> {
    let page = Path::new("ui/dist/index.html");
    if page.exists() {
        return Ok(());
    }
    fs::create_dir_all("ui/dist")?;
    fs::write(
        page,
        "<!doctype html><html lang=\"en\"><title>Rollcall</title><p>The user interface has not been built: \
         run <code>npm run build</code> in <code>ui/</code>, then build the app again.</p></html>\n",
    )
}

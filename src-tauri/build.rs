fn main() {
    let placeholder = std::path::Path::new("ui/dist/index.html");
    if !placeholder.exists() {
        std::fs::create_dir_all("ui/dist").unwrap();
        std::fs::write(placeholder, "<!doctype html><title>Rollcall</title>").unwrap();
    }
    tauri_build::build();
}

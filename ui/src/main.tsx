import { StrictMode } from "react";
import { createRoot } from "react-dom/client";

import "./design/tokens.css";
import "./design/fonts.css";
import "./design/base.css";
import { App } from "./App";
import { applyStoredTheme } from "./design/theme";
import { findPlatform } from "./platform";
import { text } from "./text";

applyStoredTheme();
const platform = await findPlatform();
const root = createRoot(document.getElementById("root") as HTMLElement);
root.render(<StrictMode>{platform ? <App platform={platform} /> : <p>{text.onlyInApp}</p>}</StrictMode>);

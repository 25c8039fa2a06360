import icon from "../../../src-tauri/icons/icon.svg";

/** The app's mark. */
export function Logo({ size }: { size: number }) {
  return <img src={icon} width={size} height={size} alt="" draggable={false} />;
}

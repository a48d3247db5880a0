// Names of the emoji that operations bots use; an unknown name stays as it was written.

export const EMOJI = {
  "+1": "👍", "-1": "👎", thumbsup: "👍", thumbsdown: "👎", ok_hand: "👌", wave: "👋", clap: "👏", pray: "🙏", raised_hands: "🙌",
  raised_hand: "✋", muscle: "💪", point_right: "👉", point_down: "👇", eyes: "👀", brain: "🧠",
  smile: "😄", slightly_smiling_face: "🙂", grinning: "😀", tada: "🎉", heart: "❤️", fire: "🔥", sparkles: "✨", star: "⭐", "100": "💯",
  thinking_face: "🤔", sweat_smile: "😅", sob: "😭", neutral_face: "😐", sleeping: "😴", zzz: "💤", robot_face: "🤖", ghost: "👻",
  warning: "⚠️", rotating_light: "🚨", no_entry: "⛔", no_entry_sign: "🚫", octagonal_sign: "🛑", exclamation: "❗", question: "❓",
  bangbang: "‼️", white_check_mark: "✅", heavy_check_mark: "✔️", ballot_box_with_check: "☑️", x: "❌", negative_squared_cross_mark: "❎",
  heavy_plus_sign: "➕", heavy_minus_sign: "➖", information_source: "ℹ️", bell: "🔔", no_bell: "🔕", loudspeaker: "📢", mega: "📣", mute: "🔇",
  red_circle: "🔴", large_red_circle: "🔴", large_orange_circle: "🟠", large_yellow_circle: "🟡", large_green_circle: "🟢",
  large_blue_circle: "🔵", large_purple_circle: "🟣", white_circle: "⚪", black_circle: "⚫", large_green_square: "🟩",
  large_yellow_square: "🟨", large_orange_square: "🟧", large_red_square: "🟥", large_blue_diamond: "🔷", small_blue_diamond: "🔹",
  chart_with_upwards_trend: "📈", chart_with_downwards_trend: "📉", bar_chart: "📊", clipboard: "📋", mag: "🔍", mag_right: "🔎",
  microscope: "🔬", telescope: "🔭", test_tube: "🧪", petri_dish: "🧫", dna: "🧬", abacus: "🧮", straight_ruler: "📏", triangular_ruler: "📐",
  package: "📦", inbox_tray: "📥", outbox_tray: "📤", file_folder: "📁", open_file_folder: "📂", page_facing_up: "📄", memo: "📝",
  pencil: "📝", pencil2: "✏️", label: "🏷️", bookmark: "🔖", card_index_dividers: "🗂️", floppy_disk: "💾", wastebasket: "🗑️", link: "🔗",
  paperclip: "📎", lock: "🔒", unlock: "🔓", key: "🔑", shield: "🛡️", gear: "⚙️", wrench: "🔧", hammer_and_wrench: "🛠️", electric_plug: "🔌",
  broken_heart: "💔", boom: "💥", bug: "🐛", bulb: "💡", satellite_antenna: "📡", globe_with_meridians: "🌐", computer: "💻",
  hourglass: "⌛", hourglass_flowing_sand: "⏳", stopwatch: "⏱️", alarm_clock: "⏰", timer_clock: "⏲️", clock1: "🕐", clock3: "🕒",
  clock9: "🕘", calendar: "📆", date: "📅", spiral_calendar_pad: "🗓️", rewind: "⏪", fast_forward: "⏩", arrow_forward: "▶️",
  double_vertical_bar: "⏸️", black_square_for_stop: "⏹️", leftwards_arrow_with_hook: "↩️", arrow_right_hook: "↪️",
  arrows_counterclockwise: "🔄", repeat: "🔁", twisted_rightwards_arrows: "🔀", arrow_up: "⬆️", arrow_down: "⬇️", arrow_right: "➡️",
  arrow_left: "⬅️", arrow_upper_right: "↗️", arrow_lower_right: "↘️", left_right_arrow: "↔️", rocket: "🚀", trophy: "🏆",
  sports_medal: "🏅", crown: "👑", checkered_flag: "🏁", triangular_flag_on_post: "🚩", seedling: "🌱", evergreen_tree: "🌲",
  ocean: "🌊", snowflake: "❄️", sunny: "☀️", partly_sunny: "⛅", thunder_cloud_and_rain: "⛈️", umbrella: "☔", coffee: "☕",
  house: "🏠", construction: "🚧", traffic_light: "🚦", ambulance: "🚑", thermometer: "🌡️", scales: "⚖️", dart: "🎯", game_die: "🎲",
  busts_in_silhouette: "👥", bust_in_silhouette: "👤", speech_balloon: "💬", thought_balloon: "💭", white_small_square: "▫️",
};

export function emoji(name) {
  return EMOJI[name.replace(/::skin-tone-\d$/, "")] ?? null;
}

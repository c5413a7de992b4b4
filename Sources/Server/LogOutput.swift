import Base
import Glibc
import Logging
import Synchronization

/// What `[log]` says, for all copies of the logger; a reload changes it.
final class LogSettings: Sendable {
    private let state: Mutex<Configuration.Log>

    init(_ settings: Configuration.Log) { state = Mutex(settings) }

    var current: Configuration.Log { state.withLock { $0 } }

    func take(_ settings: Configuration.Log) { state.withLock { $0 = settings } }
}

/// Writes log lines to standard output, as text or as JSON, one line an event.
struct LogOutput: LogHandler {
    var metadata: Logger.Metadata = [:]
    private let settings: LogSettings

    private init(_ settings: LogSettings) {
        self.settings = settings
    }

    /// One level for all copies of the logger.
    var logLevel: Logger.Level {
        get { settings.current.level }
        set { settings.take(Configuration.Log(level: newValue, format: settings.current.format)) }
    }

    static func makeLogger(_ settings: LogSettings) -> Logger {
        Logger(label: "radiator") { _ in LogOutput(settings) }
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        var fields = metadata
        fields.merge(event.metadata ?? [:]) { _, new in new }
        let pairs = fields.sorted { $0.key < $1.key }.map { ($0.key, "\($0.value)") }
        let format = settings.current.format
        Self.write(Self.line("\(event.level)", "\(event.message)", pairs, format), format)
    }

    private static func line(
        _ level: String,
        _ message: String,
        _ pairs: [(String, String)],
        _ format: Configuration.LogFormat
    ) -> String {
        switch format {
        case .text: text(level, message, pairs)
        case .json: json(level, message, pairs)
        }
    }

    private static func text(
        _ level: String,
        _ message: String,
        _ pairs: [(String, String)]
    ) -> String {
        var line = "\(timestamp()) \(level) \(message)"
        for (key, value) in pairs {
            // Scalar by scalar, for CR LF is one Character that is neither CR nor LF.
            let isPlain = !value.unicodeScalars.contains {
                $0 == " " || $0 == "\"" || isControl($0)
            }
            line += " \(key)=\(isPlain && !value.isEmpty ? value : quoted(value))"
        }
        return line
    }

    private static func json(
        _ level: String,
        _ message: String,
        _ pairs: [(String, String)]
    ) -> String {
        let all = [("time", timestamp()), ("level", level), ("message", message)] + pairs
        return "{" + all.map { "\(quoted($0.0)):\(quoted($0.1))" }.joined(separator: ",") + "}"
    }

    /// A JSON string, so that what a client sent can never begin a line of its own.
    private static func quoted(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": result += "\\\""
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            case "\r": result += "\\r"
            case "\t": result += "\\t"
            default:
                if isControl(scalar) {
                    let hex = String(scalar.value, radix: 16)
                    result += "\\u" + String(repeating: "0", count: 4 - hex.count) + hex
                } else {
                    result.unicodeScalars.append(scalar)
                }
            }
        }
        return result + "\""
    }

    /// True for what moves a terminal's cursor, or ends a line for some reader.
    private static func isControl(_ scalar: Unicode.Scalar) -> Bool {
        scalar.value < 0x20 || (0x7F...0x9F).contains(scalar.value)
            || scalar.value == 0x2028 || scalar.value == 0x2029
            || scalar.properties.generalCategory == .format
    }

    /// UTC with milliseconds, as in `2026-01-31T08:15:30.123Z`.
    private static func timestamp() -> String {
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        var parts = tm()
        gmtime_r(&now.tv_sec, &parts)
        func padded(_ number: some BinaryInteger, _ width: Int) -> String {
            let digits = String(number)
            return String(repeating: "0", count: max(0, width - digits.count)) + digits
        }
        let day = "\(padded(parts.tm_year + 1900, 4))-\(padded(parts.tm_mon + 1, 2))"
        let time =
            "\(padded(parts.tm_hour, 2)):\(padded(parts.tm_min, 2)):\(padded(parts.tm_sec, 2))"
        let milliseconds = padded(now.tv_nsec / 1_000_000, 3)
        return "\(day)-\(padded(parts.tm_mday, 2))T\(time).\(milliseconds)Z"
    }

    /// Whole lines only, so that those of two threads never mix.
    private static let console = Mutex(Console(STDOUT_FILENO))

    private static func write(_ line: String, _ format: Configuration.LogFormat) {
        console.withLock { console in
            console.write(line) { count in
                let pairs = [(LogKeys.lines, "\(count)")]
                return Self.line("warning", "log lines were lost, nobody read them", pairs, format)
            }
        }
    }
}

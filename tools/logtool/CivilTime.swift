import ArgumentParser
import Base

/// Calendar time in UTC (Howard Hinnant, "days to civil" and back).
enum CivilTime {
    /// `2026-07-09 15:04:05Z` for milliseconds since 1970.
    static func text(_ milliseconds: UInt64) -> String {
        let (date, time, _) = parts(milliseconds)
        return "\(date) \(time)Z"
    }

    /// `2026-07-09T15:04:05.123Z`, as RFC 3339 writes it.
    static func stamp(_ milliseconds: UInt64) -> String {
        let (date, time, rest) = parts(milliseconds)
        return "\(date)T\(time).\(padded(rest, 3))Z"
    }

    private static func parts(_ milliseconds: UInt64) -> (date: String, time: String, rest: Int) {
        // Beyond the year 9999 there is no such text, and no such message.
        let milliseconds = min(milliseconds, 253_402_300_799_999)
        let seconds = Int(milliseconds / 1000)
        let (days, rest) = seconds.quotientAndRemainder(dividingBy: 86_400)
        let shifted = days + 719_468
        let era = shifted / 146_097
        let dayOfEra = shifted % 146_097
        let yearOfEra =
            (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let month = (5 * dayOfYear + 2) / 153
        let day = dayOfYear - (153 * month + 2) / 5 + 1
        let civilMonth = month < 10 ? month + 3 : month - 9
        let year = yearOfEra + era * 400 + (civilMonth <= 2 ? 1 : 0)
        return (
            "\(padded(year, 4))-\(padded(civilMonth, 2))-\(padded(day, 2))",
            "\(padded(rest / 3600, 2)):\(padded(rest / 60 % 60, 2)):\(padded(rest % 60, 2))",
            Int(milliseconds % 1000)
        )
    }

    private static func padded(_ number: Int, _ width: Int) -> String {
        let digits = String(number)
        return String(repeating: "0", count: max(0, width - digits.count)) + digits
    }

    /// Reads a time of RFC 3339 (`2026-07-09T15:04:05.123Z`, with any offset, seconds and their part
    /// optional), or nothing.
    static func milliseconds(_ text: String) -> UInt64? {
        var rest = Substring(text)
        guard let year = number(&rest, 4), take(&rest, "-"),
            let month = number(&rest, 2), take(&rest, "-"), let day = number(&rest, 2),
            (1...12).contains(month), (1...31).contains(day),
            take(&rest, "T") || take(&rest, "t") || take(&rest, " "),
            day <= days(year, month + 1, 1) - days(year, month, 1),
            let hour = number(&rest, 2), hour < 24, take(&rest, ":"),
            let minute = number(&rest, 2), minute < 60
        else { return nil }
        var second = 0
        var fraction = 0
        if take(&rest, ":") {
            guard let value = number(&rest, 2), value < 61 else { return nil }
            second = value
            if take(&rest, ".") {
                let digits = rest.prefix { $0.isASCII && $0.isNumber }
                guard !digits.isEmpty else { return nil }
                fraction = Int((digits + "00").prefix(3)) ?? 0
                rest = rest.dropFirst(digits.count)
            }
        }
        guard let offset = offset(&rest), rest.isEmpty else { return nil }
        let seconds =
            days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second - offset * 60
        return UInt64(exactly: seconds * 1000 + fraction)
    }

    /// Minutes east of Greenwich.
    private static func offset(_ rest: inout Substring) -> Int? {
        if take(&rest, "Z") || take(&rest, "z") { return 0 }
        let isWest = rest.hasPrefix("-")
        guard take(&rest, "+") || take(&rest, "-"), let hours = number(&rest, 2),
            take(&rest, ":"), let minutes = number(&rest, 2), hours < 24, minutes < 60
        else { return nil }
        return (hours * 60 + minutes) * (isWest ? -1 : 1)
    }

    /// Days since 1970; the 13th month is the next year's first.
    private static func days(_ year: Int, _ month: Int, _ day: Int) -> Int {
        if month > 12 { return days(year + 1, month - 12, day) }
        let shifted = month <= 2 ? year - 1 : year
        let era = shifted / 400
        let yearOfEra = shifted - era * 400
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
        return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
            - 719_468
    }

    private static func number(_ rest: inout Substring, _ digits: Int) -> Int? {
        let head = rest.prefix(digits)
        guard head.count == digits, head.allSatisfy({ $0.isASCII && $0.isNumber }) else {
            return nil
        }
        rest = rest.dropFirst(digits)
        return Int(head)
    }

    private static func take(_ rest: inout Substring, _ character: String) -> Bool {
        guard rest.hasPrefix(character) else { return false }
        rest = rest.dropFirst()
        return true
    }
}

/// A time on the command line: RFC 3339, or milliseconds since 1970.
struct TimeArgument {
    /// No message is from before 1973; so small a number is meant as something else.
    private static let millisecondsMin: UInt64 = 100_000_000_000

    let milliseconds: UInt64

    init(_ text: String) throws {
        if let value = CivilTime.milliseconds(text) {
            milliseconds = value
        } else if let value = UInt64(text), value == 0 || value >= Self.millisecondsMin {
            milliseconds = value
        } else if let value = UInt64(text) {
            throw ValidationError(
                "\(text) is \(CivilTime.text(value)) in milliseconds since 1970. For seconds, add 000."
            )
        } else {
            throw ValidationError(
                "expected a time such as 2026-07-09T15:04:05Z or 2026-07-09T17:04:05+02:00, or "
                    + "milliseconds since 1970."
            )
        }
    }
}

import Base
import Testing

@Suite struct IntervalTests {
    @Test(
        "a duration is read with its unit",
        arguments: [
            ("50ms", Interval.milliseconds(50)), ("10s", .seconds(10)), ("5m", .seconds(300)),
            ("1h", .seconds(3600)), ("0s", .zero), ("0ms", .zero),
        ]
    )
    func reads(text: String, interval: Interval) {
        #expect(Interval(parsing: text) == interval)
    }

    @Test(
        "what is no duration is refused",
        arguments: [
            "", "s", "10", "0", "-1s", "1.5s", "10 s", " 10s", "10sec", "1d", "5M", "١s",
            "99999999999999h",
        ]
    )
    func refuses(text: String) {
        #expect(Interval(parsing: text) == nil)
    }

    @Test(
        "a duration prints in the largest unit that divides it",
        arguments: [
            (Interval.milliseconds(1500), "1500ms"), (.seconds(90), "90s"), (.seconds(7200), "2h"),
            (.zero, "0s"), (Interval(nanoseconds: 1500), "1500ns"),
        ]
    )
    func prints(interval: Interval, text: String) {
        #expect(interval.description == text)
    }
}

import FoundationEssentials

/// Results as a table for people and as JSON for programs.
struct Report {
    /// What a small machine must do at least.
    static let targetMessagesPerSecond = 1000.0

    struct Row {
        let workload: Workload
        let peer: String
        let measurement: Measurement
    }

    struct BacklogRow {
        let workload: Workload
        let measurement: BacklogMeasurement
    }

    private(set) var rows: [Row] = []
    private(set) var backlogs: [BacklogRow] = []

    static let header = line([
        ("workload", 20), ("peer", 16), ("msg/s", 11), ("p50 us", 9), ("p99 us", 9),
        ("p99.9 us", 9), ("CPU us/msg", 11), ("load us/msg", 12), ("peak MiB", 9), ("syncs/s", 9),
    ])

    /// Adds a result and gives its line of the table.
    mutating func add(_ row: Row) -> String {
        rows.append(row)
        let result = row.measurement
        return Self.line([
            (row.workload.name, 20), (row.peer, 16), (Self.grouped(result.messagesPerSecond), 11),
            (Self.microseconds(result, 0.5), 9), (Self.microseconds(result, 0.99), 9),
            (Self.microseconds(result, 0.999), 9), (Self.fixed(result.serverCPUMicroseconds), 11),
            (Self.fixed(result.generatorCPUMicroseconds), 12),
            ("\(result.peakMemoryBytes >> 20)", 9), (Self.grouped(result.meanSyncsPerSecond), 9),
        ])
    }

    mutating func add(_ row: BacklogRow) -> String {
        backlogs.append(row)
        let result = row.measurement
        let grown = Double(result.fullMemoryBytes - result.emptyMemoryBytes) / 1_048_576
        let restarted = Double(result.restartedMemoryBytes - result.emptyMemoryBytes) / 1_048_576
        return "\(row.workload.name): \(result.messages) unread messages cost "
            + "\(Self.fixed(grown)) MiB over an empty daemon; after SIGKILL it listened again "
            + "within \(Self.fixed(result.restartSeconds)) s, at \(Self.fixed(restarted)) MiB more"
    }

    /// True when every workload of radiator reached the target, where the disk allows it at all.
    var isTargetMet: Bool {
        radiatorRows.allSatisfy {
            $0.measurement.messagesPerSecond >= Self.targetMessagesPerSecond
                || Self.isBoundByDisk($0)
        }
    }

    var verdict: String {
        let slowest = radiatorRows.min {
            $0.measurement.messagesPerSecond < $1.measurement.messagesPerSecond
        }
        guard let slowest else { return "" }
        let rate = slowest.measurement.messagesPerSecond
        let excused = radiatorRows.filter {
            $0.measurement.messagesPerSecond < Self.targetMessagesPerSecond
                && Self.isBoundByDisk($0)
        }
        let excuse =
            excused.isEmpty
            ? ""
            : "; not counted, for the disk itself was too slow beside them: "
                + excused.map(\.workload.name).joined(separator: ", ")
        return "target of 1,000 persistent messages a second: \(isTargetMet ? "met" : "MISSED"); "
            + "slowest is \(slowest.workload.name) with \(Self.grouped(rate)) a second, "
            + "\(Self.fixed(rate / Self.targetMessagesPerSecond)) times the target" + excuse
    }

    /// True when one sync for everything in flight could not reach the target on this disk.
    private static func isBoundByDisk(_ row: Row) -> Bool {
        let inFlight = Double(row.workload.producers * row.workload.window)
        return row.measurement.meanSyncsPerSecond * inFlight < targetMessagesPerSecond
    }

    /// How radiator compares with each peer, workload by workload.
    var comparison: [String] {
        radiatorRows.flatMap { ours in
            rows.filter { $0.workload.name == ours.workload.name && $0.peer != ours.peer }.map {
                theirs in
                let rate =
                    ours.measurement.messagesPerSecond / theirs.measurement.messagesPerSecond
                let cpu =
                    theirs.measurement.serverCPUMicroseconds
                    / ours.measurement.serverCPUMicroseconds
                return "\(ours.workload.name): \(Self.fixed(rate)) times the rate of "
                    + "\(theirs.peer), \(Self.fixed(cpu)) times less CPU per message"
            }
        }
    }

    private var radiatorRows: [Row] { rows.filter { $0.peer == "radiator" } }

    func json() throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        let value = JSONReport(
            targetMessagesPerSecond: Self.targetMessagesPerSecond,
            isTargetMet: isTargetMet,
            results: rows.map(JSONRow.init),
            backlogs: backlogs.map(JSONBacklog.init)
        )
        return String(decoding: try encoder.encode(value), as: UTF8.self) + "\n"
    }

    private static func microseconds(_ result: Measurement, _ share: Double) -> String {
        "\(result.latencies.percentile(share) / 1000)"
    }

    /// Text columns to the left, the first two; numbers to the right.
    private static func line(_ cells: [(text: String, width: Int)]) -> String {
        cells.enumerated().map { index, cell in
            let padding = String(repeating: " ", count: max(0, cell.width - cell.text.count))
            return index < 2 ? cell.text + padding : padding + cell.text
        }.joined(separator: " ")
    }

    /// 1234567.8 as `1,234,568`.
    static func grouped(_ value: Double) -> String {
        let digits = Array(String(Int(value.rounded())))
        return digits.enumerated().map { index, digit in
            let left = digits.count - index
            return index > 0 && left % 3 == 0 ? ",\(digit)" : "\(digit)"
        }.joined()
    }

    /// Two decimals.
    static func fixed(_ value: Double) -> String {
        guard value.isFinite else { return "-" }
        let hundredths = Int((abs(value) * 100).rounded())
        let fraction = hundredths % 100
        return (value < 0 ? "-" : "") + "\(hundredths / 100)." + (fraction < 10 ? "0" : "")
            + "\(fraction)"
    }
}

private struct JSONReport: Encodable {
    let targetMessagesPerSecond: Double
    let isTargetMet: Bool
    let results: [JSONRow]
    let backlogs: [JSONBacklog]
}

private struct JSONRow: Encodable {
    let workload, peer: String
    let producers, consumers, window, bodyBytes, messages: Int
    let seconds, messagesPerSecond: Double
    let p50Microseconds, p99Microseconds, p999Microseconds: Double
    let cpuMicrosecondsPerMessage, generatorCPUMicrosecondsPerMessage: Double
    let peakMemoryBytes: Int
    let deviceSyncsPerSecond: Double

    init(_ row: Report.Row) {
        let result = row.measurement
        workload = row.workload.name
        peer = row.peer
        producers = row.workload.producers
        consumers = row.workload.consumers
        window = row.workload.window
        bodyBytes = row.workload.bodyBytes
        messages = result.messages
        seconds = result.seconds
        messagesPerSecond = result.messagesPerSecond
        p50Microseconds = Double(result.latencies.percentile(0.5)) / 1000
        p99Microseconds = Double(result.latencies.percentile(0.99)) / 1000
        p999Microseconds = Double(result.latencies.percentile(0.999)) / 1000
        cpuMicrosecondsPerMessage = result.serverCPUMicroseconds
        generatorCPUMicrosecondsPerMessage = result.generatorCPUMicroseconds
        peakMemoryBytes = result.peakMemoryBytes
        deviceSyncsPerSecond = result.meanSyncsPerSecond
    }
}

private struct JSONBacklog: Encodable {
    let workload: String
    let messages, emptyMemoryBytes, fullMemoryBytes, restartedMemoryBytes: Int
    let restartSeconds: Double

    init(_ row: Report.BacklogRow) {
        workload = row.workload.name
        messages = row.measurement.messages
        emptyMemoryBytes = row.measurement.emptyMemoryBytes
        fullMemoryBytes = row.measurement.fullMemoryBytes
        restartedMemoryBytes = row.measurement.restartedMemoryBytes
        restartSeconds = row.measurement.restartSeconds
    }
}

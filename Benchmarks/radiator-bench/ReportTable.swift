/// The tables for people.
extension Report {
    typealias Cell = (text: String, width: Int)

    /// In the order in which they are printed.
    static let tables: [(kind: Workload.Kind, header: String)] = [
        (
            .timed,
            header([
                ("msg/s", 11), ("p50 us", 9), ("p99 us", 9), ("p99.9 us", 9), ("CPU us/msg", 11),
                ("load us/msg", 12), ("peak MiB", 9), ("syncs/s", 9),
            ])
        ),
        (
            .backlog,
            header([
                ("empty MiB", 9), ("grown MiB", 9), ("kill s", 7), ("MiB then", 9), ("stop s", 7),
                ("start s", 7), ("MiB then", 9), ("fill/s", 9), ("drain/s", 9), ("peak MiB", 9),
                ("CPU us/msg", 11), ("load us/msg", 12), ("disk MiB", 9), ("drained MiB", 12),
            ])
        ),
        (
            .disk,
            header([
                ("messages", 11), ("msg/s", 9), ("disk MB", 9), ("per body", 9),
                ("per message", 12), ("others MB/s", 12),
            ])
        ),
        (
            .packed,
            header([
                ("messages", 9), ("bodies MB", 10), ("empty MB", 9), ("full MB", 9),
                ("disk MB", 9), ("packed MB", 10),
                ("of bodies", 10), ("after s", 9), ("all packed", 11), ("cold MB/s", 10),
                ("read MB", 9), ("CPU us/msg", 11),
            ])
        ),
        (
            .neighbours,
            header([
                ("alone msg/s", 12), ("beside msg/s", 12), ("share", 7), ("alone p99 us", 12),
                ("beside p99 us", 13), ("factor", 7), ("bad conn/s", 10), ("peak MiB", 9),
            ])
        ),
    ]

    static func line(of row: Row<Measurement>) -> String {
        let result = row.result
        return line(
            row,
            [
                (grouped(result.messagesPerSecond), 11), (microseconds(result, 0.5), 9),
                (microseconds(result, 0.99), 9), (microseconds(result, 0.999), 9),
                (fixed(result.serverCPUMicroseconds), 11),
                (fixed(result.generatorCPUMicroseconds), 12),
                ("\(result.peakMemoryBytes >> 20)", 9), (grouped(result.meanSyncsPerSecond), 9),
            ]
        )
    }

    static func line(of row: Row<BacklogMeasurement>) -> String {
        let result = row.result
        return line(
            row,
            [
                (mebibytes(result.emptyMemoryBytes), 9), (mebibytes(result.grownMemoryBytes), 9),
                (fixed(result.afterKill.seconds), 7), (mebibytes(result.afterKill.memoryBytes), 9),
                (fixed(result.stopSeconds), 7), (fixed(result.afterStop.seconds), 7),
                (mebibytes(result.afterStop.memoryBytes), 9),
                (grouped(result.fill.messagesPerSecond), 9), (grouped(result.drainRate), 9),
                (mebibytes(result.drain.peakMemoryBytes), 9),
                (fixed(result.drain.serverCPUMicroseconds), 11),
                (fixed(result.drain.generatorCPUMicroseconds), 12),
                (mebibytes(result.fullDiskBytes), 9), (mebibytes(result.drainedDiskBytes), 12),
            ]
        )
    }

    static func line(of row: Row<DiskMeasurement>) -> String {
        let result = row.result
        return line(
            row,
            [
                (grouped(Double(result.messages)), 11),
                (grouped(Double(result.messages) / result.seconds), 9),
                (megabytes(result.writtenBytes), 9), (fixed(result.perBodyByte), 9),
                (fixed(result.perMessageByte), 12),
                (fixed(result.otherBytesPerSecond / 1e6), 12),
            ]
        )
    }

    static func line(of row: Row<PackedMeasurement>) -> String {
        let result = row.result
        return line(
            row,
            [
                (grouped(Double(result.messages)), 9), (megabytes(result.bodyBytes), 10),
                (megabytes(result.emptyDiskBytes), 9), (megabytes(result.fullDiskBytes), 9),
                (megabytes(result.packedDiskBytes), 9), (megabytes(result.packedFileBytes), 10),
                (fixed(result.diskShare), 10), (grouped(result.waitSeconds), 9),
                (result.isPacked ? "yes" : "no", 11), (fixed(result.coldMegabytesPerSecond), 10),
                (megabytes(result.readBytes), 9), (fixed(result.drain.serverCPUMicroseconds), 11),
            ]
        )
    }

    static func line(of row: Row<NeighboursMeasurement>) -> String {
        let result = row.result
        return line(
            row,
            [
                (grouped(result.alone.messagesPerSecond), 12),
                (grouped(result.beside.messagesPerSecond), 12), (fixed(result.rateShare), 7),
                (microseconds(result.alone, 0.99), 12), (microseconds(result.beside, 0.99), 13),
                (fixed(result.latencyFactor), 7), (grouped(result.badConnectionsPerSecond), 10),
                ("\(result.beside.peakMemoryBytes >> 20)", 9),
            ]
        )
    }

    private static func header(_ cells: [Cell]) -> String {
        joined([("workload", 20), ("peer", 16)] + cells)
    }

    private static func line<Result>(_ row: Row<Result>, _ cells: [Cell]) -> String {
        joined([(row.workload.name, 20), (row.peer, 16)] + cells)
    }

    /// Text columns to the left, the first two; numbers to the right.
    private static func joined(_ cells: [Cell]) -> String {
        cells.enumerated().map { index, cell in
            let padding = String(repeating: " ", count: max(0, cell.width - cell.text.count))
            return index < 2 ? cell.text + padding : padding + cell.text
        }.joined(separator: " ")
    }

    private static func microseconds(_ result: Measurement, _ share: Double) -> String {
        "\(result.latencies.percentile(share) / 1000)"
    }

    private static func mebibytes(_ bytes: Int) -> String {
        grouped(Double(bytes) / 1_048_576)
    }

    private static func megabytes(_ bytes: Int) -> String { grouped(Double(bytes) / 1e6) }

    /// 1234567.8 as `1,234,568`.
    static func grouped(_ value: Double) -> String {
        guard value.isFinite else { return "-" }
        let digits = Array(String(Int(abs(value).rounded())))
        let text = digits.enumerated().map { index, digit in
            let left = digits.count - index
            return index > 0 && left % 3 == 0 ? ",\(digit)" : "\(digit)"
        }.joined()
        return (value <= -0.5 ? "-" : "") + text
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

/// One kind of number that workloads yield: what programs and what people read of it.
struct Figure: Hashable, Sendable {
    /// How people read it.
    enum Style: Sendable {
        case count, decimal, mebibytes, megabytes, answer
    }

    /// Its key in the JSON, with its unit.
    let name: String
    /// Above its column, with the unit of the column.
    let title: String
    let style: Style

    private init(_ name: String, _ title: String, _ style: Style) {
        self.name = name
        self.title = title
        self.style = style
    }

    func text(of value: Double) -> String {
        switch style {
        case .count: Self.grouped(value)
        case .decimal: Self.fixed(value)
        case .mebibytes: Self.grouped(value / 1_048_576)
        case .megabytes: Self.grouped(value / 1e6)
        case .answer: value == 0 ? "no" : "yes"
        }
    }
}

// MARK: loads

extension Figure {
    static let messages = Figure("messages", "messages", .count)
    static let seconds = Figure("seconds", "s", .decimal)
    static let bodyBytes = Figure("bodyBytes", "body bytes", .count)
    static let messagesPerSecond = Figure("messagesPerSecond", "msg/s", .count)
    static let p50Microseconds = Figure("p50Microseconds", "p50 us", .count)
    static let p99Microseconds = Figure("p99Microseconds", "p99 us", .count)
    static let p999Microseconds = Figure("p999Microseconds", "p99.9 us", .count)
    static let receiptP50Microseconds = Figure("receiptP50Microseconds", "receipt p50", .count)
    static let receiptP99Microseconds = Figure("receiptP99Microseconds", "receipt p99", .count)
    static let cpuMicroseconds = Figure("cpuMicrosecondsPerMessage", "CPU us/msg", .decimal)
    static let generatorCPUMicroseconds = Figure(
        "generatorCPUMicrosecondsPerMessage",
        "load us/msg",
        .decimal
    )
    static let peakMemoryBytes = Figure("peakMemoryBytes", "peak MiB", .mebibytes)
    static let deviceSyncsPerSecond = Figure("deviceSyncsPerSecond", "syncs/s", .count)
    static let deviceSyncP99Microseconds = Figure(
        "deviceSyncP99Microseconds",
        "sync p99 us",
        .count
    )
    static let pacedSyncP99Microseconds = Figure(
        "pacedSyncP99Microseconds",
        "paced sync p99",
        .count
    )

    /// The columns of every load that runs for some seconds.
    static let rates = [
        messagesPerSecond, p50Microseconds, p99Microseconds, p999Microseconds, cpuMicroseconds,
        generatorCPUMicroseconds, peakMemoryBytes, deviceSyncsPerSecond,
    ]
}

// MARK: disk

extension Figure {
    static let readBytes = Figure("readBytes", "read MB", .megabytes)
    static let writtenBytes = Figure("writtenBytes", "written MB", .megabytes)
    static let writtenPerBodyByte = Figure("writtenPerBodyByte", "per body", .decimal)
    static let writtenPerMessageByte = Figure("writtenPerMessageByte", "per message", .decimal)
    static let writtenBytesPerMessage = Figure("writtenBytesPerMessage", "bytes/msg", .count)
    /// Of other programs, while the daemon had nothing to do.
    static let otherBytesPerSecond = Figure("otherBytesPerSecond", "others MB/s", .megabytes)
    /// Of others in what was written, if they went on as before.
    static let otherShare = Figure("otherShare", "of others", .decimal)
    static let emptyDiskBytes = Figure("emptyDiskBytes", "empty MB", .megabytes)
    static let fullDiskBytes = Figure("fullDiskBytes", "full MB", .megabytes)
    static let drainedDiskBytes = Figure("drainedDiskBytes", "drained MB", .megabytes)
    static let packedDiskBytes = Figure("packedDiskBytes", "disk MB", .megabytes)
    static let packedFileBytes = Figure("packedFileBytes", "packed MB", .megabytes)
    static let diskShareOfBodies = Figure("diskShareOfBodies", "of bodies", .decimal)
    static let isPacked = Figure("isPacked", "all packed", .answer)
    static let waitSeconds = Figure("waitSeconds", "after s", .count)
    static let coldMegabytesPerSecond = Figure("coldMegabytesPerSecond", "cold MB/s", .decimal)
}

// MARK: backlogs and restarts

extension Figure {
    static let queues = Figure("queues", "queues", .count)
    static let emptyMemoryBytes = Figure("emptyMemoryBytes", "empty MiB", .mebibytes)
    static let grownMemoryBytes = Figure("grownMemoryBytes", "grown MiB", .mebibytes)
    static let afterKillSeconds = Figure("afterKillSeconds", "kill s", .decimal)
    static let afterKillMemoryBytes = Figure("afterKillMemoryBytes", "MiB then", .mebibytes)
    static let stopSeconds = Figure("stopSeconds", "stop s", .decimal)
    static let afterStopSeconds = Figure("afterStopSeconds", "start s", .decimal)
    static let afterStopMemoryBytes = Figure("afterStopMemoryBytes", "MiB then", .mebibytes)
    static let fillMessagesPerSecond = Figure("fillMessagesPerSecond", "fill/s", .count)
    static let fillCPUMicroseconds = Figure(
        "fillCPUMicrosecondsPerMessage",
        "fill us/msg",
        .decimal
    )
    static let drainMessagesPerSecond = Figure("drainMessagesPerSecond", "drain/s", .count)
    static let drainPeakMemoryBytes = Figure("drainPeakMemoryBytes", "peak MiB", .mebibytes)
    static let drainCPUMicroseconds = Figure(
        "drainCPUMicrosecondsPerMessage",
        "drain us/msg",
        .decimal
    )
    static let drainGeneratorCPUMicroseconds = Figure(
        "drainGeneratorCPUMicrosecondsPerMessage",
        "load us/msg",
        .decimal
    )
    static let afterKillFirstMessageSeconds = Figure(
        "afterKillFirstMessageSeconds",
        "message s",
        .decimal
    )
    static let coldKillSeconds = Figure("afterColdKillSeconds", "cold kill s", .decimal)
    static let coldKillFirstMessageSeconds = Figure(
        "afterColdKillFirstMessageSeconds",
        "message s",
        .decimal
    )
    static let afterStopFirstMessageSeconds = Figure(
        "afterStopFirstMessageSeconds",
        "message s",
        .decimal
    )
}

// MARK: connections and neighbours

extension Figure {
    static let connections = Figure("connections", "connections", .count)
    static let connectsPerSecond = Figure("connectsPerSecond", "connects/s", .count)
    static let cpuMicrosecondsPerConnect = Figure(
        "cpuMicrosecondsPerConnect",
        "CPU us/conn",
        .decimal
    )
    static let generatorCPUMicrosecondsPerConnect = Figure(
        "generatorCPUMicrosecondsPerConnect",
        "load us/conn",
        .decimal
    )
    static let memoryBytesPerConnection = Figure("memoryBytesPerConnection", "bytes/conn", .count)
    static let idleCPUShare = Figure("idleCPUShareOfCore", "idle cores", .decimal)
    static let aloneMessagesPerSecond = Figure("aloneMessagesPerSecond", "alone msg/s", .count)
    static let besideMessagesPerSecond = Figure("besideMessagesPerSecond", "beside msg/s", .count)
    static let rateShare = Figure("rateShare", "share", .decimal)
    static let aloneP99Microseconds = Figure("aloneP99Microseconds", "alone p99 us", .count)
    static let besideP99Microseconds = Figure("besideP99Microseconds", "beside p99 us", .count)
    static let latencyFactor = Figure("latencyFactor", "factor", .decimal)
    static let badConnectionsPerSecond = Figure("badConnectionsPerSecond", "bad conn/s", .count)
}

// MARK: numbers as text

extension Figure {
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

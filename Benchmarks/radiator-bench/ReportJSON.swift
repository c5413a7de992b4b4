import FoundationEssentials

/// The results for programs.
extension Report {
    func json() throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        let value = JSONReport(
            targetMessagesPerSecond: Target.messagesPerSecond,
            isTargetMet: isTargetMet,
            misses: misses,
            results: rows.map(JSONRow.init),
            backlogs: backlogs.map(JSONBacklog.init),
            disk: disks.map(JSONDisk.init),
            packed: packed.map(JSONPacked.init),
            neighbours: neighbours.map(JSONNeighbours.init)
        )
        return String(decoding: try encoder.encode(value), as: UTF8.self) + "\n"
    }
}

private struct JSONReport: Encodable {
    let targetMessagesPerSecond: Double
    let isTargetMet: Bool
    let misses: [String]
    let results: [JSONRow]
    let backlogs: [JSONBacklog]
    let disk: [JSONDisk]
    let packed: [JSONPacked]
    let neighbours: [JSONNeighbours]
}

private struct JSONNeighbours: Encodable {
    let workload, peer: String
    let aloneMessagesPerSecond, besideMessagesPerSecond: Double
    let aloneP99Microseconds, besideP99Microseconds, badConnectionsPerSecond: Double
    let peakMemoryBytes: Int

    init(_ row: Report.Row<NeighboursMeasurement>) {
        let result = row.result
        workload = row.workload.name
        peer = row.peer
        aloneMessagesPerSecond = result.alone.messagesPerSecond
        besideMessagesPerSecond = result.beside.messagesPerSecond
        aloneP99Microseconds = Double(result.alone.latencies.percentile(0.99)) / 1000
        besideP99Microseconds = Double(result.beside.latencies.percentile(0.99)) / 1000
        badConnectionsPerSecond = result.badConnectionsPerSecond
        peakMemoryBytes = result.beside.peakMemoryBytes
    }
}

private struct JSONRow: Encodable {
    let workload, peer: String
    let producers, consumers, window, bodyBytes, messages: Int
    let seconds, messagesPerSecond: Double
    let p50Microseconds, p99Microseconds, p999Microseconds: Double
    let cpuMicrosecondsPerMessage, generatorCPUMicrosecondsPerMessage: Double
    let peakMemoryBytes: Int
    let deviceSyncsPerSecond: Double

    init(_ row: Report.Row<Measurement>) {
        let result = row.result
        workload = row.workload.name
        peer = row.peer
        producers = row.workload.load.producers
        consumers = row.workload.load.consumers
        window = row.workload.load.window
        bodyBytes = row.workload.load.bodyBytes
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
    let workload, peer: String
    let messages, bodyBytes, queues: Int
    let emptyMemoryBytes, fullMemoryBytes, grownMemoryBytes, fillPeakMemoryBytes: Int
    let fillMessagesPerSecond, fillCPUMicrosecondsPerMessage: Double
    let afterKillSeconds: Double
    let afterKillMemoryBytes: Int
    let stopSeconds, afterStopSeconds: Double
    let afterStopMemoryBytes: Int
    let drainMessagesPerSecond: Double
    let drainRatesMessagesPerSecond: [Double]
    let drainCPUMicrosecondsPerMessage, drainGeneratorCPUMicrosecondsPerMessage: Double
    let drainPeakMemoryBytes, fullDiskBytes, drainedDiskBytes: Int

    init(_ row: Report.Row<BacklogMeasurement>) {
        let result = row.result
        workload = row.workload.name
        peer = row.peer
        messages = result.messages
        bodyBytes = row.workload.load.bodyBytes
        queues = row.workload.load.queues
        emptyMemoryBytes = result.emptyMemoryBytes
        fullMemoryBytes = result.fullMemoryBytes
        grownMemoryBytes = result.grownMemoryBytes
        fillPeakMemoryBytes = result.fill.peakMemoryBytes
        fillMessagesPerSecond = result.fill.messagesPerSecond
        fillCPUMicrosecondsPerMessage = result.fill.serverCPUMicroseconds
        afterKillSeconds = result.afterKill.seconds
        afterKillMemoryBytes = result.afterKill.memoryBytes
        stopSeconds = result.stopSeconds
        afterStopSeconds = result.afterStop.seconds
        afterStopMemoryBytes = result.afterStop.memoryBytes
        drainMessagesPerSecond = result.drainRate
        drainRatesMessagesPerSecond = result.drainRates
        drainCPUMicrosecondsPerMessage = result.drain.serverCPUMicroseconds
        drainGeneratorCPUMicrosecondsPerMessage = result.drain.generatorCPUMicroseconds
        drainPeakMemoryBytes = result.drain.peakMemoryBytes
        fullDiskBytes = result.fullDiskBytes
        drainedDiskBytes = result.drainedDiskBytes
    }
}

private struct JSONDisk: Encodable {
    let workload, peer: String
    let messages, bodyBytes, messageBytes, writtenBytes: Int
    let seconds, writtenPerBodyByte, writtenPerMessageByte, otherBytesPerSecond: Double

    init(_ row: Report.Row<DiskMeasurement>) {
        let result = row.result
        workload = row.workload.name
        peer = row.peer
        messages = result.messages
        bodyBytes = result.bodyBytes
        messageBytes = result.messageBytes
        writtenBytes = result.writtenBytes
        seconds = result.seconds
        writtenPerBodyByte = result.perBodyByte
        writtenPerMessageByte = result.perMessageByte
        otherBytesPerSecond = result.otherBytesPerSecond
    }
}

private struct JSONPacked: Encodable {
    let workload, peer: String
    let messages, bodyBytes, emptyDiskBytes, fullDiskBytes: Int
    let packedDiskBytes, packedFileBytes, readBytes: Int
    let isPacked: Bool
    let waitSeconds, diskShareOfBodies, coldMegabytesPerSecond: Double
    let drainCPUMicrosecondsPerMessage: Double

    init(_ row: Report.Row<PackedMeasurement>) {
        let result = row.result
        workload = row.workload.name
        peer = row.peer
        messages = result.messages
        bodyBytes = result.bodyBytes
        emptyDiskBytes = result.emptyDiskBytes
        fullDiskBytes = result.fullDiskBytes
        packedDiskBytes = result.packedDiskBytes
        packedFileBytes = result.packedFileBytes
        readBytes = result.readBytes
        isPacked = result.isPacked
        waitSeconds = result.waitSeconds
        diskShareOfBodies = result.diskShare
        coldMegabytesPerSecond = result.coldMegabytesPerSecond
        drainCPUMicrosecondsPerMessage = result.drain.serverCPUMicroseconds
    }
}

/// What one server did under one load, or under several one after another.
struct Measurement {
    var messages = 0
    var seconds = 0.0
    var receipts = LatencyHistogram()
    var deliveries = LatencyHistogram()
    var serverCPUSeconds = 0.0
    var generatorCPUSeconds = 0.0
    var peakMemoryBytes = 0

    var messagesPerSecond: Double { Double(messages) / max(seconds, 1e-9) }
    var serverCPUMicroseconds: Double { perMessage(serverCPUSeconds) }
    var generatorCPUMicroseconds: Double { perMessage(generatorCPUSeconds) }

    mutating func add(_ other: Measurement) {
        messages += other.messages
        seconds += other.seconds
        receipts.add(other.receipts)
        deliveries.add(other.deliveries)
        serverCPUSeconds += other.serverCPUSeconds
        generatorCPUSeconds += other.generatorCPUSeconds
        peakMemoryBytes = max(peakMemoryBytes, other.peakMemoryBytes)
    }

    /// Latencies are those of deliveries where there are any.
    var figures: Figures {
        var result = Figures([
            .messages: Double(messages),
            .seconds: seconds,
            .messagesPerSecond: messagesPerSecond,
            .cpuMicroseconds: serverCPUMicroseconds,
            .generatorCPUMicroseconds: generatorCPUMicroseconds,
            .peakMemoryBytes: Double(peakMemoryBytes),
        ])
        let latencies = deliveries.total > 0 ? deliveries : receipts
        if latencies.total > 0 {
            result[.p50Microseconds] = latencies.microseconds(0.5)
            result[.p99Microseconds] = latencies.microseconds(0.99)
            result[.p999Microseconds] = latencies.microseconds(0.999)
        }
        if deliveries.total > 0 {
            result[.receiptP50Microseconds] = receipts.microseconds(0.5)
            result[.receiptP99Microseconds] = receipts.microseconds(0.99)
        }
        return result
    }

    private func perMessage(_ cpuSeconds: Double) -> Double {
        cpuSeconds / Double(max(1, messages)) * 1e6
    }
}

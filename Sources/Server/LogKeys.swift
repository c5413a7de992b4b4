/// The keys of structured log lines, so that one fact has one name everywhere.
package enum LogKeys {
    package static let address = "address"
    package static let peer = "peer"
    package static let reason = "reason"
    package static let detail = "detail"
    package static let directory = "directory"
    package static let milliseconds = "ms"
    package static let queues = "queues"
    package static let messages = "messages"
    package static let bytes = "bytes"
    package static let totalBytes = "total_bytes"
    package static let bytesPerSecond = "bytes_per_second"
    package static let secondsLeft = "seconds_left"
    package static let tornBytes = "torn_bytes"
    package static let file = "file"
    package static let lines = "lines"
    package static let segments = "segments"
}

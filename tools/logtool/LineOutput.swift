import ArgumentParser
import Glibc

/// Standard output for many lines: one large buffer, and errors that are noticed.
///
/// Confinement: one verb.
final class LineOutput {
    private static let bufferBytes = 256 << 10

    private var bytes: [UInt8] = []
    /// The write that failed: nothing more is taken from then on.
    private(set) var failure: Int32?

    /// Adds a finished line; false once standard output takes nothing more.
    func write(_ line: JSONLine) -> Bool {
        bytes += line.bytes
        if bytes.count >= Self.bufferBytes { flush() }
        return failure == nil
    }

    func flush() {
        var done = 0
        while done < bytes.count, failure == nil {
            let count = bytes.withUnsafeBytes { buffer in
                buffer.baseAddress.map {
                    Glibc.write(STDOUT_FILENO, $0 + done, buffer.count - done)
                }
                    ?? 0
            }
            if count >= 0 {
                done += count
            } else if errno != EINTR {
                failure = errno
            }
        }
        bytes.removeAll(keepingCapacity: bytes.count <= 4 * Self.bufferBytes)
    }

    /// Flushes, and ends the verb if a line could not be written.
    ///
    /// A reader that has seen enough (`| head`) is no fault: the verb ends quietly, as the signal
    /// would have ended it.
    func finish() throws {
        flush()
        guard let failure else { return }
        if failure == EPIPE { throw ExitCode(128 + SIGPIPE) }
        throw ToolFailure("standard output: \(String(cString: strerror(failure)))")
    }
}

import Glibc

/// Writes lines to standard output or standard error without ever waiting long for the reader.
///
/// A broker must not stand still because nobody reads its log: a pipe that is full for longer than
/// `patienceMilliseconds` loses lines until it is read again, and the loss is told then.
struct Console {
    private let descriptor: Int32
    /// Lines lost since the reader fell behind.
    private(set) var lostCount = 0
    private var isWithinLine = false

    /// How long the first line that finds no room waits for it; those behind it do not.
    private static let patienceMilliseconds: Int32 = 100
    /// What a pipe or socket that is ready takes without blocking (`pipe(7)`, "PIPE_BUF").
    private static let pieceBytes = 4096

    init(_ descriptor: Int32) {
        self.descriptor = descriptor
    }

    /// Writes a line; `loss` makes the one that tells how many were lost before it.
    mutating func write(_ line: String, loss: (Int) -> String) {
        if lostCount > 0 {
            guard put((isWithinLine ? "\n" : "") + loss(lostCount) + "\n") else {
                lostCount += 1
                return
            }
            lostCount = 0
        }
        if !put(line + "\n") { lostCount += 1 }
    }

    /// False if not all of it could be written.
    private mutating func put(_ text: String) -> Bool {
        var text = text
        let patience = lostCount == 0 ? Self.patienceMilliseconds : 0
        let descriptor = descriptor
        let (isDone, count) = text.withUTF8 { bytes in
            var count = 0
            while let base = bytes.baseAddress, count < bytes.count {
                let length = min(Self.pieceBytes, bytes.count - count)
                guard Self.isReady(descriptor, milliseconds: patience) else { break }
                let written = Glibc.write(descriptor, base + count, length)
                if written < 0 && errno != EINTR { break }
                count += max(0, written)
            }
            return (count == bytes.count, count)
        }
        if count > 0 { isWithinLine = !isDone }
        return isDone
    }

    /// True if a piece can be written now, or writing fails at once.
    private static func isReady(_ descriptor: Int32, milliseconds: Int32) -> Bool {
        var entry = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        while true {
            let count = poll(&entry, 1, milliseconds)
            if count >= 0 { return count > 0 }
            if errno != EINTR { return true }
        }
    }
}

import Glibc

/// A file, or standard input, line by line.
///
/// Confinement: one verb.
final class LineInput {
    private static let blockBytes = 256 << 10
    /// No message is that long: the largest body as base 64, with room for headers.
    private static let lineBytesMax = 512 << 20

    private let descriptor: Int32
    private let name: String
    private var bytes: [UInt8] = []
    private var start = 0
    private var isAtEnd = false

    /// Opens a file; `-` is standard input.
    init(_ path: String) throws {
        name = path == "-" ? "standard input" : path
        descriptor = path == "-" ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            throw ToolFailure("open \(path): \(String(cString: strerror(errno)))")
        }
    }

    deinit {
        if descriptor != STDIN_FILENO { close(descriptor) }
    }

    /// The next line without its end; nil after the last one.
    func next() throws -> [UInt8]? {
        var searched = start
        while true {
            if let end = bytes[searched...].firstIndex(of: UInt8(ascii: "\n")) {
                defer { start = end + 1 }
                return Array(bytes[start..<end])
            }
            if isAtEnd {
                guard start < bytes.count else { return nil }
                defer { start = bytes.count }
                return Array(bytes[start...])
            }
            searched = bytes.count - start
            if start > 0 {
                bytes.removeFirst(start)
                start = 0
            }
            guard bytes.count < Self.lineBytesMax else {
                throw ToolFailure("\(name): a line is longer than \(Self.lineBytesMax) bytes")
            }
            try readMore()
        }
    }

    private func readMore() throws {
        let count = bytes.count
        let room = max(Self.blockBytes, min(count, 16 << 20))
        var block = [UInt8](repeating: 0, count: room)
        var got = -1
        repeat {
            got = block.withUnsafeMutableBytes { read(descriptor, $0.baseAddress, $0.count) }
        } while got < 0 && errno == EINTR
        guard got >= 0 else {
            throw ToolFailure("read \(name): \(String(cString: strerror(errno)))")
        }
        isAtEnd = got == 0
        bytes += block[..<got]
    }
}

public import NIOCore

// One of the few places with unsafe pointers. Invariants:
// 1. `current` is the only buffer through which its storage is written, and only from its writer index on.
//    What was handed out lies before that index, so it never changes while anybody holds it.
// 2. The writer index goes back only in `clear`, which makes new storage if anybody shares the old one.

/// Memory for small pieces of bytes that are needed for a short while, copied one behind the other.
///
/// To make a buffer for each of them would cost more than the copy. A piece holds the whole block of 64 KiB
/// that it stands in, so whoever keeps one for long should copy it first. Four blocks serve in turn, if all
/// of their pieces are gone by then; others are made in their place if not.
public struct ByteArena {
    @usableFromInline
    var current = ByteBuffer()
    /// The next one to serve is the first.
    private var others: [ByteBuffer] = []

    /// Size of a block.
    public static let blockBytes = 64 << 10
    private static let blocksMax = 4
    /// Larger pieces get a buffer of their own.
    @usableFromInline
    static let pieceBytesMax = 2048

    /// Makes an arena without memory.
    public init() {}

    /// Copies two pieces, one behind the other.
    ///
    /// O(bytes).
    @inlinable
    @inline(__always)
    public mutating func copy(_ first: RawSpan, _ second: RawSpan) -> (ByteBuffer, ByteBuffer) {
        let count = first.byteCount + second.byteCount
        if count > Self.pieceBytesMax { return Self.copyLarge(first, second) }
        if current.writableBytes < count { beginBlock() }
        let start = current.writerIndex
        current.withVeryUnsafeBytes { block in
            precondition(count <= block.count - start, "a block of the arena has no room")
            let free = UnsafeMutableRawBufferPointer(mutating: block)
            first.withUnsafeBytes {
                UnsafeMutableRawBufferPointer(rebasing: free[start...]).copyMemory(from: $0)
            }
            second.withUnsafeBytes {
                UnsafeMutableRawBufferPointer(rebasing: free[(start + first.byteCount)...])
                    .copyMemory(from: $0)
            }
        }
        current.moveWriterIndex(to: start + count)
        return Self.pieces(of: current, at: start, first.byteCount, second.byteCount)
    }

    @usableFromInline
    static func copyLarge(_ first: RawSpan, _ second: RawSpan) -> (ByteBuffer, ByteBuffer) {
        var buffer = ByteBufferAllocator().buffer(capacity: first.byteCount + second.byteCount)
        buffer.append(first, second)
        return pieces(of: buffer, at: 0, first.byteCount, second.byteCount)
    }

    @inlinable
    @inline(__always)
    static func pieces(
        of buffer: ByteBuffer,
        at start: Int,
        _ first: Int,
        _ second: Int
    ) -> (ByteBuffer, ByteBuffer) {
        guard let head = buffer.getSlice(at: start, length: first),
            let tail = buffer.getSlice(at: start + first, length: second)
        else { preconditionFailure("the pieces were written") }
        return (head, tail)
    }

    @usableFromInline
    mutating func beginBlock() {
        if others.count < Self.blocksMax - 1 {
            others.append(current)
            current = ByteBuffer()
        } else {
            let next = others.removeFirst()
            others.append(current)
            current = next
        }
        current.clear(minimumCapacity: Self.blockBytes)
    }
}

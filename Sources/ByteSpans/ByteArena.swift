public import NIOCore

// One of the few places with unsafe pointers. Invariants:
// 1. A block's buffer is the only one through which its storage is written, and only from its writer index
//    on. What was handed out lies before that index, so it never changes while anybody holds it. Blocks cannot
//    be copied, or two would write to the same place.
// 2. The writer index goes back only in `clear`, which makes new storage if anybody shares the old one.

/// Memory into which pieces of bytes are copied one behind the other, each handed out as a buffer of its own.
///
/// A piece holds the whole block, so whoever keeps one for longer than the others should copy it first.
public struct ByteBlock: ~Copyable {
    @usableFromInline
    var buffer: ByteBuffer

    /// Makes a block with room for so many bytes.
    @inlinable
    public init(bytes: Int) {
        buffer = ByteBufferAllocator().buffer(capacity: bytes)
    }

    /// Bytes that there is room for.
    @inlinable
    public var room: Int { buffer.writableBytes }

    /// Copies two pieces, one behind the other; there must be room for them.
    ///
    /// O(bytes).
    @inlinable
    @inline(__always)
    public mutating func copy(_ first: RawSpan, _ second: RawSpan) -> (ByteBuffer, ByteBuffer) {
        let start = buffer.writerIndex
        let middle = start + first.byteCount
        let end = middle + second.byteCount
        buffer.withVeryUnsafeBytes { block in
            precondition(end <= block.count, "the block has no room")
            let memory = UnsafeMutableRawBufferPointer(mutating: block)
            first.withUnsafeBytes {
                UnsafeMutableRawBufferPointer(rebasing: memory[start...]).copyMemory(from: $0)
            }
            second.withUnsafeBytes {
                UnsafeMutableRawBufferPointer(rebasing: memory[middle...]).copyMemory(from: $0)
            }
        }
        buffer.moveWriterIndex(to: end)
        guard let head = buffer.getSlice(at: start, length: middle - start),
            let tail = buffer.getSlice(at: middle, length: end - middle)
        else { preconditionFailure("both pieces were written") }
        return (head, tail)
    }

    /// Makes room for so many bytes, in the same memory unless somebody holds a piece of it.
    @usableFromInline
    mutating func clear(bytes: Int) {
        buffer.clear(minimumCapacity: bytes)
    }
}

/// Memory for small pieces of bytes that are needed for a short while.
///
/// To make a buffer for each of them would cost more than the copy. Four blocks of 64 KiB serve in turn, if
/// all of their pieces are gone by then; others are made in their place if not.
public struct ByteArena: ~Copyable {
    @usableFromInline
    var blocks = InlineArray<4, ByteBlock> { _ in ByteBlock(bytes: 0) }
    /// The block that serves now.
    @usableFromInline
    var turn = 0

    /// Size of a block.
    public static let blockBytes = 64 << 10
    /// Larger pieces get a block of their own.
    @usableFromInline
    static let piecesBytesMax = 2048

    /// Makes an arena without memory.
    public init() {}

    /// Copies two pieces, one behind the other.
    ///
    /// O(bytes).
    @inlinable
    @inline(__always)
    public mutating func copy(_ first: RawSpan, _ second: RawSpan) -> (ByteBuffer, ByteBuffer) {
        let count = first.byteCount + second.byteCount
        if count > Self.piecesBytesMax {
            var block = ByteBlock(bytes: count)
            return block.copy(first, second)
        }
        if blocks[turn].room < count {
            turn = (turn + 1) % blocks.count
            blocks[turn].clear(bytes: Self.blockBytes)
        }
        return blocks[turn].copy(first, second)
    }
}

import Base
import Testing

@Suite struct ByteCountTests {
    @Test(
        "a size is read with and without its unit",
        arguments: [("64MiB", 64 << 20), ("512KiB", 512 << 10), ("100", 100), ("0", 0), ("3B", 3)]
    )
    func reads(text: String, bytes: Int) {
        #expect(ByteCount(parsing: text)?.bytes == bytes)
    }

    @Test(
        "what is no size is refused",
        arguments: ["", "MiB", "-1", "1.5MiB", "64mb", "99999999999999TiB", " 1"]
    )
    func refuses(text: String) {
        #expect(ByteCount(parsing: text) == nil)
    }

    @Test(
        "a size prints in its largest unit",
        arguments: [
            (64 << 20, "64 MiB"), (1536, "1.5 KiB"), ((1 << 20) - 1, "1023.9 KiB"), (100, "100 B"),
            (0, "0 B"),
        ]
    )
    func prints(bytes: Int, text: String) {
        #expect(ByteCount(bytes).description == text)
    }
}

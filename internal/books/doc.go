// Package books has the words of closed months and the arithmetic of what came
// late for them. It is pure: who keeps the books and who reads them anew says
// so by values.
//
// A closed month never changes. What is stored for it afterwards is late, and
// another month bills it:
//
//	late = what would be read now - what its own book billed - what was billed of it since
//
// The formula is Late, and stands here only. What "since" is has two meanings,
// which give the same sums and must not be mixed in one figure:
//
//   - by the calendar, Months.DueIn: books have figures of the closed month, and
//     those of the months after it have what they billed of it. A figure that a
//     book does not have is read as the log stood when its own month was closed.
//     The vendors' surfaces ask so, whose books have all they say.
//   - by the order of closings, Months.Bookings: each closing billed the months
//     before it up to its place in the log, so that any figure can be read of the
//     log at two places, whether a book has it or not. The native API asks so,
//     which answers by groups that no book has.
package books

/*
 * The page map of one segment: two words of two pages, with the arena's slot, the purge and the packing hints
 * (hz3_segment.c, hz3_release_boundary.c, hz3_segment_packing.c, hz3_arena.c).
 *
 * Every write to shared words is a locked instruction and every read one load, so the store buffers of x86-64 are empty
 * whenever it matters, and a step here is an instruction there.
 *
 * Proved: no page is owned twice; no byte in use is purged; a page said to be clean is zero; a closed slot holds
 * nothing; and when all is quiet the hints of a free run's levels are set.
 */
#define ROUNDS 1 /* of user 1, and of the purger */

/* User 1 runs against user 2, who comes twice, or against the purger; users ask for 1, 2 or 3 pages. In the larger model
 * all three run once, and user 1 asks for 1 page, user 2 for 2. */
#define USER_1 1
#define USER_2 2
#define PURGE 4
#ifdef LARGE
#define CHOOSE_WHO_RUNS who = USER_1 | USER_2 | PURGE
#define ROUNDS_OF_USER_2 1
#define FITS(n) (n == me)
#else
#define CHOOSE_WHO_RUNS if :: who = USER_1 | USER_2 :: who = USER_1 | PURGE fi
#define ROUNDS_OF_USER_2 2
#define FITS(n) true
#endif

#define PAGES 4
#define ALL 15
#define WORD_ALL 3
#define WORD_RUN_MAX 2
#define LEVELS 4 /* level n - 1 is "may hold n pages" */
#define NONE 9

/* Owners of pages; 0 is nobody, users are 1 and 2. */
#define PURGER 3
#define CLOSED 4
#define EARLIER 5 /* wrote what the dirty pages hold at the start */

byte free[2], dirty[2];
bool hint[LEVELS];
bool slot_is_free;

byte owner[PAGES];   /* what must be true, beside what the words say */
byte content[PAGES]; /* 0 or who wrote last */
byte ended; hidden byte i;

/* Pages [first, first + n) as a set of four bits, and the part of a set that lies in word w. */
#define RANGE(first, n) (((1 << (n)) - 1) << (first))
#define PART(w, set) (((set) >> ((w) * 2)) & WORD_ALL)
#define BOTH (free[0] | (free[1] << 2))

/* Inside a d_step. */
inline change_owner(at, bits, old, new)
{
    i = 0;
    do
    :: i < 2 ->
        if
        :: (bits) & (1 << i) ->
            assert(owner[(at) * 2 + i] == old);
            owner[(at) * 2 + i] = new
        :: else
        fi;
        i++
    :: else -> break
    od
}

/* A load and the CAS that finds the word unchanged are one step: what was read still holds. */
#ifdef BUG_CLAIM_BY_LOAD_AND_STORE
#define LOAD_AND_CAS
#else
#define LOAD_AND_CAS atomic
#endif

inline take_pages(at, wanted, by)
{
    d_step {
        free[at] = word & ~(wanted);
        change_owner(at, wanted, 0, by)
    }
}

inline publish_word(where, what, whose)
{
    d_step {
        if
        :: (what) != 0 ->
            assert((free[where] & (what)) == 0);
            change_owner(where, what, whose, 0);
            free[where] = free[where] | (what)
        :: else
        fi
    }
}

inline publish(given, giver)
{
    publish_word(0, PART(0, given), giver);
    publish_word(1, PART(1, given), giver)
}

/* Word by word; gives back what it took when one word no longer has the pages, and sets rolled_back. took: success. */
inline claim_exactly(pages, taker)
{
    w = (PART(0, pages) != 0 -> 0 : 1);
    do
    :: LOAD_AND_CAS {
            word = free[w];
            if
            :: (word & PART(w, pages)) == PART(w, pages) -> take_pages(w, PART(w, pages), taker); took = true
            :: else -> took = false
            fi
        }
        if
        :: took && w == 0 && PART(1, pages) != 0 -> w = 1
        :: !took && w == 1 && PART(0, pages) != 0 ->
            rolled_back = true;
            publish_word(0, PART(0, pages), taker);
            break
        :: else -> break
        fi
    od;
    atomic { w = 0; word = 0 }
}

inline snapshot()
{
    word = free[0];
    d_step { word = word | (free[1] << 2) }
}

/* One CAS in one word, resident pages before clean ones. first: NONE or the first page. */
inline claim_short(count, id)
{
    dirty_only = true;
    do
    :: LOAD_AND_CAS {
            word = free[w];
            d_step {
                part = word & (dirty_only -> dirty[w] : WORD_ALL);
                part = ((count) == 2 -> (part == WORD_ALL -> WORD_ALL : 0) : (part & 1 -> 1 : part))
            }
            if
            :: part != 0 -> take_pages(w, part, id); first = w * 2 + (part == 2 -> 1 : 0)
            :: else
            fi
        }
        if
        :: first != NONE || (w == 1 && !dirty_only) -> break
        :: else -> atomic { dirty_only = dirty_only && w == 0; w = 1 - w }
        fi
    od;
    atomic { w = 0; word = 0; part = 0; dirty_only = false }
}

/* Runs that no word holds, at any page. */
inline claim_long(count, id)
{
    snapshot();
    set = RANGE(0, count);
    do
    :: set > ALL -> break
    :: set <= ALL && (word & set) == set ->
        claim_exactly(set, id);
        if
        :: took -> first = (set & 1 -> 0 : (set & 2 -> 1 : 2)); break
        :: else -> snapshot()
        fi;
        set = set << 1
    :: else -> set = set << 1
    od;
    atomic { set = 0; word = 0; took = false }
}

inline claim_across_words(id)
{
    snapshot();
    if
    :: (word & RANGE(1, 2)) == RANGE(1, 2) ->
        claim_exactly(RANGE(1, 2), id);
        if
        :: took -> first = 1
        :: else
        fi
    :: else
    fi;
    atomic { word = 0; took = false }
}

inline claim(want, whom)
{
    first = NONE;
    if
    :: n <= WORD_RUN_MAX ->
        claim_short(n, whom);
        if
        :: first == NONE && n > 1 -> claim_across_words(whom)
        :: else
        fi
    :: else -> claim_long(n, whom)
    fi
}

/* From the longest level down to the first that is set already. */
inline set_hints(level)
{
    l = level;
    do
    :: l > 0 && !hint[l - 1] -> hint[l - 1] = true; l--
    :: else -> break
    od;
    l = 0
}

inline clear_hints(level)
{
    l = level;
    do
    :: l < LEVELS -> hint[l] = false; l++
    :: else -> break
    od;
    l = 0
}

/* The length of the free run that holds the page, as far as a snapshot can tell. */
inline pack_on_free(at_page, released)
{
    word = free[at_page / 2];
    length = 0;
    if
    :: word & (1 << ((at_page) % 2)) ->
        snapshot();
        d_step {
            length = 0;
            i = at_page;
            do
            :: i > 0 && (word & (1 << (i - 1))) -> i--; length++
            :: else -> break
            od;
            i = at_page;
            do
            :: i < PAGES && (word & (1 << i)) -> i++; length++
            :: else -> break
            od
        }
    :: else
    fi;
    d_step { word = 0; length = (length < released -> released : length) }
    set_hints(length);
    length = 0
}

/* After a claim that was rolled back: for the longest free run, as far as a snapshot can tell. */
inline pack_rolled_back()
{
    if
    :: rolled_back ->
#ifndef BUG_ROLL_BACK_NOT_TOLD
        snapshot();
        d_step {
            length = 0;
            i = 0;
            do
            :: i < PAGES ->
                in_a_row = (word & (1 << i) -> in_a_row + 1 : 0);
                length = (in_a_row > length -> in_a_row : length);
                i++
            :: else -> break
            od;
            in_a_row = 0;
            word = 0
        }
        set_hints(length);
        length = 0;
#endif
        rolled_back = false
    :: else
    fi
}

/* By him who took the slot. */
inline slot_open()
{
    dirty[0] = 0; dirty[1] = 0;
    d_step { change_owner(0, WORD_ALL, CLOSED, 0); free[0] = WORD_ALL }
    d_step { change_owner(1, WORD_ALL, CLOSED, 0); free[1] = WORD_ALL }
    pack_on_free(0, PAGES)
}

/* By hint, with the hints cleared, in a new slot. */
#define HINTED 0
#define SECOND_LOOK 1
#define NEW_SLOT 2
#define OPENED 3

inline pack_claim()
{
    stage = (hint[n - 1] -> HINTED : NEW_SLOT);
    do
    :: stage == NEW_SLOT ->
        atomic { took = slot_is_free; slot_is_free = false }
        if
        :: took -> slot_open(); stage = OPENED
        :: else -> break
        fi
    :: else ->
        claim(n, me);
        pack_rolled_back();
        if
        :: first != NONE && stage == SECOND_LOOK -> set_hints(LEVELS); break
        :: first == NONE && stage == HINTED ->
#ifndef BUG_HINTS_CLEARED_AFTER_SECOND_LOOK
            clear_hints(n - 1);
#endif
            stage = SECOND_LOOK
        :: first == NONE && stage == SECOND_LOOK ->
#ifdef BUG_HINTS_CLEARED_AFTER_SECOND_LOOK
            clear_hints(n - 1);
#endif
            stage = NEW_SLOT
        :: else -> break
        fi
    od;
    atomic { stage = 0; took = false }
}

#define EACH_PAGE(check)                                                                                               \
    i = 0;                                                                                                             \
    do                                                                                                                 \
    :: i < n -> check; i++                                                                                             \
    :: else -> break                                                                                                   \
    od

#define IS_DIRTY(page) ((dirty[(page) / 2] >> ((page) % 2)) & 1)

proctype user(byte me, rounds)
{
    byte n, stage, first, w, word, part, set, l, length, in_a_row;
    bool took, dirty_only, rolled_back;

    do
    :: rounds > 0 ->
        rounds--;
        if
        :: FITS(1) -> n = 1
        :: FITS(2) -> n = 2
        :: FITS(3) -> n = 3
        fi;
        first = NONE;
        pack_claim();
        if
        :: first != NONE ->
            d_step {
                EACH_PAGE(assert(IS_DIRTY(first + i) || content[first + i] == 0));
                EACH_PAGE(content[first + i] = me)
            }
            d_step {
                EACH_PAGE(assert(content[first + i] == me));
                dirty[0] = dirty[0] | PART(0, RANGE(first, n));
                dirty[1] = dirty[1] | PART(1, RANGE(first, n))
            }
#ifdef BUG_HINTS_SET_BEFORE_PUBLISH
            pack_on_free(first, n);
            publish(RANGE(first, n), me)
#else
            publish(RANGE(first, n), me);
            pack_on_free(first, n)
#endif
        :: else
        fi;
        first = 0
    :: else -> break
    od;
    ended++
}

inline claim_dirty_word(q)
{
    do
    :: word = free[q];
        part = word & dirty[q];
#ifdef BUG_PURGE_WITHOUT_CLAIM
        claimed = claimed | (part << (q * 2));
        break
#else
        if
        :: part == 0 -> break
        :: else ->
            atomic {
                if
                :: free[q] == word ->
                    take_pages(q, part, PURGER);
                    claimed = claimed | (part << (q * 2));
                    break
                :: else
                fi
            }
        fi
#endif
    od;
    atomic { word = 0; part = 0 }
}

inline madvise(first, n)
{
    d_step {
        EACH_PAGE(content[first + i] = 0);
        i = 0
    }
}

/* The kernel may refuse: the pages stay dirty. */
inline purge_range(start, many)
{
    set = RANGE(start, many);
#ifdef BUG_PUBLISH_BEFORE_MADVISE
    publish(set, PURGER);
#endif
    if
    :: madvise(start, many);
#ifdef BUG_DIRTY_CLEARED_AFTER_PUBLISH
        publish(set, PURGER);
#endif
        dirty[0] = dirty[0] & ~PART(0, set);
        dirty[1] = dirty[1] & ~PART(1, set)
    :: true
    fi;
#if !defined(BUG_PUBLISH_BEFORE_MADVISE) && !defined(BUG_DIRTY_CLEARED_AFTER_PUBLISH) &&                               \
    !defined(BUG_PURGE_WITHOUT_CLAIM)
    publish(set, PURGER);
#endif
    set = 0;
    pack_on_free(start, many)
}

inline close_if_empty()
{
    snapshot();
    if
    :: word == ALL ->
        claim_exactly(ALL, PURGER);
        pack_rolled_back();
        if
        :: took && dirty[0] == 0 && dirty[1] == 0 ->
            d_step {
                assert(content[0] == 0 && content[1] == 0 && content[2] == 0 && content[3] == 0);
                change_owner(0, WORD_ALL, PURGER, CLOSED);
                change_owner(1, WORD_ALL, PURGER, CLOSED)
            }
            slot_is_free = true
        :: took && (dirty[0] != 0 || dirty[1] != 0) ->
            publish(ALL, PURGER);
            pack_on_free(0, PAGES)
        :: else
        fi
    :: else
    fi;
    d_step { took = false; word = 0 }
}

proctype purger()
{
    byte rounds = ROUNDS;
    byte claimed, page, size, w, word, part, set, l, length, in_a_row;
    bool took, rolled_back;

    do
    :: rounds > 0 ->
        rounds--;
        claim_dirty_word(0);
        claim_dirty_word(1);
        do
        :: claimed == 0 -> break
        :: else -> /* the lowest maximal run */
            d_step {
                page = 0;
                do
                :: claimed & (1 << page) -> break
                :: else -> page++
                od;
                size = 0;
                do
                :: claimed & (1 << (page + size)) -> claimed = claimed & ~(1 << (page + size)); size++
                :: else -> break
                od
            }
            purge_range(page, size)
        od;
        atomic { page = 0; size = 0 }
        close_if_empty()
    :: else -> break
    od;
    ended++
}


init {
    byte who;

    d_step {
        free[0] = WORD_ALL; free[1] = WORD_ALL;
        hint[0] = true; hint[1] = true; hint[2] = true; hint[3] = true
    }
    if
    :: dirty[0] = 2; dirty[1] = 1; content[1] = EARLIER; content[2] = EARLIER
    :: dirty[0] = 1; dirty[1] = 2; content[0] = EARLIER; content[3] = EARLIER
    fi;
    CHOOSE_WHO_RUNS;
    atomic {
        run user(1, ROUNDS);
        if
        :: who & USER_2 -> run user(2, ROUNDS_OF_USER_2)
        :: else -> ended++
        fi;
        if
        :: who & PURGE -> run purger()
        :: else -> ended++
        fi
    }
    d_step {
        ended == 3;
        assert(slot_is_free -> BOTH == 0 : BOTH == ALL);
        assert(slot_is_free || (hint[0] && hint[1] && hint[2] && hint[3]))
    }
}

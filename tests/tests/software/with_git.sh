# Clones, pushes and fetches: sh -e with_git.sh URL REPOSITORIES. All that has a date or a name in it is fixed, so that
# commits have the same ids each time.
url=$1/git/gold.git repositories=$2
export GIT_AUTHOR_NAME=ada GIT_AUTHOR_EMAIL=ada@site GIT_AUTHOR_DATE='2026-03-02T10:00:00Z'
export GIT_COMMITTER_NAME=ada GIT_COMMITTER_EMAIL=ada@site GIT_COMMITTER_DATE='2026-03-02T10:00:00Z'
export GIT_CONFIG_NOSYSTEM=1 GIT_TERMINAL_PROMPT=0
git config --global init.defaultBranch main
git config --global advice.detachedHead false
exec 2>&1

git init -q --bare "$repositories/gold.git"
git clone -q "$url" first
cd first
git checkout -q -b main
seq 1 50000 > numbers
git add numbers
git commit -q -m 'Many numbers'
git push -q origin main
# Too much for one piece: git sends it in chunks.
seq 1 3 900000 > more
git add more
git commit -q -m 'More of them'
git tag gold
git -c http.postBuffer=65536 push -q --tags origin main
cd ..

git clone -q "$url" second
git clone -q --depth 1 --branch gold "$url" shallow
git -C second log --format='%H %s' --all
git -C shallow log --format='%H %s'
git -C second fsck --full
echo 'a few words' > first/words
git -C first add words
git -C first commit -q -m 'Words'
git -C first push -q origin main
git -C second pull -q
cat second/words
git -C first push -q origin :gold
git ls-remote "$url"
git ls-remote "$url.missing" || echo "not there: $?"
echo 'that is all'
